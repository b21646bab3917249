"""The execution input of a run, checked field by field."""

import re
from dataclasses import dataclass
from datetime import timedelta

from own_events.rescan_finished import is_execution_name
from registry.images import ECR_DAY
from runtime import durations

LEAST_RESCAN_AFTER = ECR_DAY

KEYS = ("repositories", "repository_filter", "rescan_after", "rerun_of", "dry_run")
_IGNORED = "Comment"  # the console prefills the input with one; pressing Start must just work

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Repository.html
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY_NAME = re.compile(rf"{_PART}(?:/{_PART})*")


class InvalidRescanRequest(Exception):
    """The execution input is not valid or names something that does not exist. Never retried."""


@dataclass(frozen=True)
class RescanRequest:
    """A checked execution input. An absent field means that the stack's parameter applies."""

    repositories: tuple[str, ...] | None = None
    repository_filter: str | None = None
    rescan_after: timedelta | None = None
    rerun_of: str | None = None
    dry_run: bool = False


def read_request(document: object) -> RescanRequest:
    """Check an execution input.

    Raises InvalidRescanRequest with one sentence that names the field and what is accepted.
    """
    if not isinstance(document, dict):
        raise InvalidRescanRequest(
            f"The execution input must be a JSON object with any of {', '.join(KEYS)}; "
            "for a run over the whole registry, use {}"
        )
    if unknown := sorted(str(key) for key in document.keys() - {*KEYS, _IGNORED}):
        raise InvalidRescanRequest(
            f"Unknown key {unknown[0]!r} in the execution input. Valid keys: {', '.join(KEYS)}"
        )
    request = RescanRequest(
        repositories=_repositories(document.get("repositories")),
        repository_filter=_pattern(document.get("repository_filter")),
        rescan_after=_rescan_after(document.get("rescan_after")),
        rerun_of=_execution_name(document.get("rerun_of")),
        dry_run=_flag(document.get("dry_run")),
    )
    for one, other in (
        ("rerun_of", "repositories"),
        ("rerun_of", "repository_filter"),
        ("repositories", "repository_filter"),
    ):
        if getattr(request, one) is not None and getattr(request, other) is not None:
            raise InvalidRescanRequest(
                f"{one} and {other} cannot be combined: both select the repositories of a run"
            )
    return request


def _repositories(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    accepted = 'repositories must be a list of one or more repository names, such as ["team/api"]'
    if not isinstance(value, list) or not value:
        raise InvalidRescanRequest(f"{accepted}, not {_shown(value)}")
    for name in value:
        if not (
            isinstance(name, str) and 2 <= len(name) <= 256 and _REPOSITORY_NAME.fullmatch(name)
        ):
            raise InvalidRescanRequest(f"{accepted}; {_shown(name)} is not one")
    return tuple(dict.fromkeys(value))


def _pattern(value: object) -> str | None:
    if value is None:
        return None
    accepted = (
        "repository_filter must be a regular expression that matches from the start of a "
        'repository name, such as "prod/"'
    )
    if not isinstance(value, str):
        raise InvalidRescanRequest(f"{accepted}, not {_shown(value)}")
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidRescanRequest(f"{accepted}; {_shown(value)} is not one: {error}") from error
    return value


def _rescan_after(value: object) -> timedelta | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRescanRequest(
            f"rescan_after must be {durations.ACCEPTED}, not {_shown(value)}"
        )
    try:
        rescan_after = durations.parse(value)
    except ValueError as error:
        raise InvalidRescanRequest(f"rescan_after must be {error}") from error
    if rescan_after < LEAST_RESCAN_AFTER:
        raise InvalidRescanRequest(
            f"rescan_after must be at least 24h, not {value!r}: "
            "ECR allows one basic scan per image in 24 hours"
        )
    return rescan_after


def _execution_name(value: object) -> str | None:
    if value is None:
        return None
    if not (isinstance(value, str) and is_execution_name(value)):
        raise InvalidRescanRequest(
            "rerun_of must be the name of an execution of this state machine "
            f"(its name, not its ARN), not {_shown(value)}"
        )
    return value


def _flag(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRescanRequest(f"dry_run must be true or false, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a wrong value as text of at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
