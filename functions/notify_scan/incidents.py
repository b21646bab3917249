"""The PagerDuty incidents of images: which is opened, confirmed, handed on, or resolved.

An incident belongs to one image, whose baseline holds its key. It moves with the tags: an image
that takes the last tag of another one takes over its incident. Only what was opened is resolved.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ledger.image_records import Baseline, ImageState
from reporting.channels import pagerduty

_REVISION = re.compile(r"#[0-9]{1,9}$")  # at the end of a key; those of version 0.3.0 had none
_LONGEST_SUBJECT = pagerduty.LONGEST_KEY - 10  # characters, so that the revision fits a key


@dataclass(frozen=True)
class IncidentChange:
    """What becomes of the incidents of an image.

    key: the incident that is open afterwards; empty if none is.
    trigger: whether a message goes to it. resolve: the keys of incidents that end.
    """

    key: str = ""
    trigger: bool = False
    resolve: tuple[str, ...] = ()


def incident_of(baseline: Baseline | None, subject: str) -> str:
    """Return the key of an image's open incident; empty if none is.

    subject: of the reports on the image, which version 0.3.0 used as the key where it is in ALARM.
    """
    if baseline is None:
        return ""
    if baseline.incident is None:
        is_old = baseline.image_state.thresholds is None
        is_open = is_old and baseline.image_state.is_alarm
        return pagerduty.dedup_key(subject) if is_open else ""
    return baseline.incident


def stored_key(baseline: Baseline | None) -> str:
    """Return the key as it is stored, which nothing changes where PagerDuty is not in use."""
    return (baseline.incident if baseline else None) or ""


def ended_by_deletion(baseline: Baseline | None, severities: Collection[str]) -> bool:
    """Return whether an image had an incident until it was deleted, with its reason still there.

    A lifecycle policy may delete an image before the one that has its tag now is scanned.
    """
    if baseline is None or baseline.incident or not baseline.notes:
        return False
    ended = baseline.notes[0].resolved
    return any(is_problem(baseline.image_state, key, severities) for key in ended)


def new_key(subject: str, revision: int) -> str:
    """Return the key of an incident that an image opens.

    With the image alone, an image that has handed its incident on and gets worse again would open
    an incident that belongs to another one by now.
    """
    return f"{pagerduty.dedup_key(subject, most=_LONGEST_SUBJECT)}#{revision}"


def incident_change(
    now: ImageState,
    *,
    own: str,
    inherited: Sequence[str],
    severities: Collection[str],
    is_news: bool,
    key: str,
) -> IncidentChange:
    """Decide on the incidents of an image after a scan.

    own, inherited: the keys of its incident, and of those of images whose last tag it has taken.
    severities: those that open an incident. is_news: something is new enough to open one, and may.
    key: of an incident that is opened.
    """
    keys = [each for each in (own, *inherited) if each]
    if not keys:
        return IncidentChange(key, trigger=True) if is_news else IncidentChange()
    first, *others = keys
    if not now.failed and not is_problem(now, first, severities):
        return IncidentChange(resolve=tuple(keys))
    is_handed_on = first != own and not now.failed
    return IncidentChange(first, trigger=is_news or is_handed_on, resolve=tuple(others))


def is_problem(now: ImageState, key: str, severities: Collection[str]) -> bool:
    """Return whether the incident still has a reason: that of version 0.3.0 was any severity."""
    if not _REVISION.search(key):
        return bool(now.exceeded)
    return any(name in severities for name in now.exceeded)
