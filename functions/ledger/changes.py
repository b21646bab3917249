"""What a scan has changed in an image, finding by finding, as the ledger keeps it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import accumulate

from registry.findings import FindingKey, severity_rank
from runtime.messages import encode, wire

MOST_NAMED = 200  # findings in each list of a change that the ledger keeps


class Change(StrEnum):
    """How a scan compares with the baseline."""

    NEW = "NEW"  # above a threshold, and was not
    WORSE = "WORSE"  # above a threshold, and some finding is new, back, or rated higher
    BETTER = "BETTER"  # still above a threshold, with findings fixed and none new
    CLEARED = "CLEARED"  # nothing above a threshold any more, or the scan no longer fails
    FAILED = "FAILED"  # the scan failed, and the one before it had not
    UNCHANGED = "UNCHANGED"


class Cause(StrEnum):
    """Why an image has changed, where its findings alone do not say it."""

    THRESHOLD = "THRESHOLD"  # only a threshold of the stack was moved
    ACCEPTED = "ACCEPTED"  # all that was open is accepted or suppressed
    END_OF_FAILURE = "END_OF_FAILURE"  # the scan before had failed
    FIRST_OF_TYPE = "FIRST_OF_TYPE"  # the first scan of another type, which is not compared
    NOT_MONITORED = "NOT_MONITORED"  # Amazon Inspector no longer scans the image
    UNSUPPORTED = "UNSUPPORTED"  # ECR cannot scan the image


@dataclass(frozen=True)
class ChangedFinding:
    """A finding that has changed, with what messages show of it.

    first_seen: the day, as YYYY-MM-DD; empty where it is not known. With is_seen_later, it may have
        been there before that day.
    was: the severity before, of one that is rated differently; the vulnerability or the package
        before, of one that is named differently. Empty for all others.
    gone_on: the day on which it went, of one that is back.
    """

    name: str
    package: str
    severity: str
    version: str = ""
    fixed_in: str = ""
    score: float = 0.0
    uri: str = ""
    has_exploit: bool = False
    first_seen: str = ""
    is_seen_later: bool = False
    was: str = ""
    gone_on: str = ""

    @property
    def key(self) -> FindingKey:
        """Return what identifies the finding in its image."""
        return self.name, self.package


@dataclass(frozen=True)
class FindingsChange:
    """The findings that have changed, each list the worst first. Only what is or was open counts.

    new, back: open now, and not there at the scan before; back had gone within 30 days.
    worse, better: rated differently than at the scan before.
    gone: no longer there. accepted: accepted or suppressed now. ended: no longer accepted.
    spread: in another package of the same image, at no worse severity. renamed: under another name.
    omitted: by list, how many more findings it would hold.
    """

    new: tuple[ChangedFinding, ...] = ()
    back: tuple[ChangedFinding, ...] = ()
    worse: tuple[ChangedFinding, ...] = ()
    better: tuple[ChangedFinding, ...] = ()
    gone: tuple[ChangedFinding, ...] = ()
    accepted: tuple[ChangedFinding, ...] = ()
    ended: tuple[ChangedFinding, ...] = ()
    spread: tuple[ChangedFinding, ...] = ()
    renamed: tuple[ChangedFinding, ...] = ()
    omitted: dict[str, int] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether nothing has changed."""
        return not any(getattr(self, name) for name in LISTS)

    def within(self, most_bytes: int) -> "FindingsChange":
        """Return the change with as many findings as fit, list by list, and what is left out."""
        kept: dict[str, tuple[ChangedFinding, ...]] = {}
        left = most_bytes
        for name in LISTS:
            lengths = accumulate(len(wire(encode(each))) for each in getattr(self, name))
            taken = [length for length in lengths if length <= left]
            kept[name] = getattr(self, name)[: len(taken)]
            left -= taken[-1] if taken else 0
        return self._with(kept)

    def cut(self, most: int = MOST_NAMED) -> "FindingsChange":
        """Return the change with at most `most` findings in each list, and what is left out."""
        return self._with({name: getattr(self, name)[:most] for name in LISTS})

    def _with(self, kept: Mapping[str, tuple[ChangedFinding, ...]]) -> "FindingsChange":
        omitted = {
            name: left
            for name in LISTS
            if (left := self.count(name) - len({each.name for each in kept[name]})) > 0
        }
        return FindingsChange(**kept, omitted=omitted or None)

    def count(self, name: str) -> int:
        """Return the number of vulnerabilities in a list, with those that are left out."""
        return len({each.name for each in getattr(self, name)}) + (self.omitted or {}).get(name, 0)


LISTS = tuple(each.name for each in fields(FindingsChange) if each.name != "omitted")


def worst_first(findings: Iterable[ChangedFinding]) -> tuple[ChangedFinding, ...]:
    """Sort changed findings: by severity, then score, then name."""
    return tuple(
        sorted(
            findings,
            key=lambda it: (severity_rank(it.severity), -it.score, it.name, it.package),
        )
    )
