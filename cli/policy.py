"""The policy of the runs of a deployed stack, from its parameters."""

from collections.abc import Callable
from datetime import datetime, timedelta

from cli.exits import CommandError
from cli.patterns import checked
from cli.stack import Stack
from registry.findings import SEVERITIES
from reporting.thresholds import OTHER
from rescan_registry.policy import ImageSelection, RescanPolicy
from runtime import durations

_OFF = "off"
_ALWAYS_LISTED = "HIGH"


def policy_of(stack: Stack, now: datetime) -> RescanPolicy:
    """Return the policy that a run over the whole registry would have now.

    Raises CommandError for a parameter that no run would accept.
    """
    pulled_within = stack.parameter("PulledWithin")
    return RescanPolicy(
        rescan_after=_read(stack, "RescanAfter", durations.parse),
        schedule_interval=timedelta(seconds=_read(stack, "ScheduleIntervalSeconds", int)),
        unsupported_retry_after=_read(stack, "UnsupportedRetryAfter", durations.parse),
        stop_at=now,
        max_scans_per_repository=_read(stack, "MaxScansPerRepository", int),
        image_selection=_read(stack, "ImageSelection", ImageSelection),
        max_images_per_repository=_read(stack, "MaxImagesPerRepository", int),
        pulled_within=_read(stack, "PulledWithin", durations.parse) if pulled_within else None,
        exclude_tag_pattern=_read(stack, "ExcludeTagPattern", checked) or None,
    )


def repository_filter_of(stack: Stack) -> str:
    """Return the pattern of the repositories that runs take; raise CommandError if it is none."""
    return _read(stack, "RepositoryFilter", checked)


def lowest_severity(stack: Stack) -> str:
    """Return the lowest severity of which the stack sends notifications, or HIGH if none is lower.

    The last one of SEVERITIES if other severities have a threshold.
    """
    watched = [
        severity
        for severity in SEVERITIES
        if stack.parameters.get(f"{severity.capitalize()}Threshold", _OFF) != _OFF
    ]
    if stack.parameters.get(f"{OTHER.capitalize()}Threshold", _OFF) != _OFF:
        return SEVERITIES[-1]
    return max((_ALWAYS_LISTED, *watched), key=SEVERITIES.index)


def has_names(stack: Stack) -> bool:
    """Return whether findings are read by name; else they are counted, and none is accepted."""
    return stack.parameter("IncludeFindings") == "true"


def _read[T](stack: Stack, name: str, reader: Callable[[str], T]) -> T:
    text = stack.parameter(name)
    try:
        return reader(text)
    except ValueError as error:
        raise CommandError(
            f"The parameter {name} of the stack {stack.name} cannot be used: {error}. "
            "Correct it, and deploy again."
        ) from error
