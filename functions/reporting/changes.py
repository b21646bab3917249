"""Compare an image with its baseline, or with that of the image that had its tag before.

By name where both scans could be read, and by number otherwise. A finding is open if it is not
accepted and of a severity that exceeds its threshold: what is open decides on the kind of change.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ledger.changes import Cause, Change
from ledger.image_records import ImageState
from ledger.known_findings import GoneFinding, KnownFinding
from registry.findings import SEVERITIES, FindingKey, severity_rank
from reporting.thresholds import counted, threshold_of

type Findings = Mapping[FindingKey, KnownFinding]
type Related = Mapping[str, Collection[str]]  # other names of vulnerabilities, by name
_NO_RANK = len(SEVERITIES) + 1  # behind all that a finding can have
_NONE: Mapping[FindingKey, GoneFinding] = MappingProxyType({})


@dataclass(frozen=True)
class Seen:
    """An image as a scan has shown it.

    findings: absent where only their numbers are known. gone: what had gone within 30 days.
    """

    image_state: ImageState
    findings: Findings | None = None
    gone: Mapping[FindingKey, GoneFinding] = _NONE

    @property
    def is_found_empty(self) -> bool:
        """Return whether the scan found nothing at all, which is known by number, too."""
        return self.findings is None and not any(self.image_state.counts.values())


@dataclass(frozen=True)
class Moved:
    """The findings that have changed, by the lists of FindingsChange.

    renamed: the finding before, by that which it is now.
    """

    new: frozenset[FindingKey] = frozenset()
    back: frozenset[FindingKey] = frozenset()
    worse: frozenset[FindingKey] = frozenset()
    better: frozenset[FindingKey] = frozenset()
    gone: frozenset[FindingKey] = frozenset()
    accepted: frozenset[FindingKey] = frozenset()
    ended: frozenset[FindingKey] = frozenset()
    spread: frozenset[FindingKey] = frozenset()
    renamed: Mapping[FindingKey, FindingKey] = field(default_factory=dict)

    @property
    def news(self) -> frozenset[FindingKey]:
        """Return what makes an image worse by itself, and not by a decision of an operator."""
        return self.new | self.back | self.worse


@dataclass(frozen=True)
class Comparison:
    """How a scan compares with what was known before.

    difference: how many findings more or fewer, of the severities above thresholds before or now.
    risen: the severities with more findings than before. moved: absent if compared by number alone.
    """

    change: Change
    cause: Cause | None = None
    difference: dict[str, int] = field(default_factory=dict)
    risen: tuple[str, ...] = ()
    moved: Moved | None = None


def compare(before: Seen | None, now: Seen, related: Related | None = None) -> Comparison:
    """Compare a scan with what was known; before is absent for an image that is not known."""
    earlier, state = before.image_state if before else None, now.image_state
    if state.is_unsupported:
        return Comparison(Change.UNCHANGED, Cause.UNSUPPORTED)
    if not state.is_monitored:
        is_known = earlier is not None and not earlier.is_monitored
        return Comparison(Change.UNCHANGED, None if is_known else Cause.NOT_MONITORED)
    if state.failed:
        has_failed = earlier is not None and earlier.failed
        return Comparison(Change.UNCHANGED if has_failed else Change.FAILED)
    if earlier and _is_other_type(earlier, state):
        is_seen = state.exceeded or earlier.exceeded
        return Comparison(Change.UNCHANGED, Cause.FIRST_OF_TYPE if is_seen else None)
    if now.findings is not None and (before is None or before.is_found_empty):
        before = Seen(earlier or ImageState(), {}, before.gone if before else _NONE)
    if before is None or before.findings is None or now.findings is None:
        return _by_number(earlier or ImageState(), state)
    return _by_name(before, now, now.findings, related or {})


def open_findings(seen: Seen) -> frozenset[FindingKey]:
    """Return the findings that count: not accepted, and of a severity above its threshold."""
    exceeded = set(seen.image_state.exceeded)
    return frozenset(
        key
        for key, finding in (seen.findings or {}).items()
        if not finding.is_accepted and threshold_of(finding.severity) in exceeded
    )


def counted_unaccepted(findings: Findings) -> dict[str, int]:
    """Count the findings that are not accepted, by severity as thresholds have it."""
    return counted(each.severity for each in findings.values() if not each.is_accepted)


def difference(before: ImageState, now: ImageState) -> dict[str, int]:
    """Return the change in the number of findings, of the severities above thresholds at either."""
    watched = {*before.exceeded, *now.exceeded}
    names = [name for name in now.counts | before.counts if name in watched]
    moved = {name: now.counts.get(name, 0) - before.counts.get(name, 0) for name in names}
    return {name: more for name, more in moved.items() if more}


def _is_other_type(before: ImageState, now: ImageState) -> bool:
    return None not in (before.scan_type, now.scan_type) and before.scan_type != now.scan_type


def _is_threshold_moved(before: ImageState, now: ImageState) -> bool:
    """Return whether a threshold was moved; a record of version 0.3.0 does not say."""
    return before.thresholds is not None and before.thresholds != now.thresholds


def _is_end_of_failure(before: ImageState) -> bool:
    """Return whether a failure ends; version 0.3.0 did not report it where findings remain."""
    return before.failed and before.thresholds is not None


def _by_number(before: ImageState, now: ImageState) -> Comparison:
    moved = difference(before, now)
    risen = tuple(name for name in now.exceeded if moved.get(name, 0) > 0)
    is_better = any(more < 0 for more in moved.values())
    cause = Cause.THRESHOLD if _is_threshold_moved(before, now) else None
    end = Cause.END_OF_FAILURE if _is_end_of_failure(before) else None
    if not now.exceeded:
        if not before.is_alarm:
            return Comparison(Change.UNCHANGED)
        if cause and not is_better and not before.failed:
            return Comparison(Change.UNCHANGED, cause)
        ends = Cause.END_OF_FAILURE if not before.exceeded else None
        return Comparison(Change.CLEARED, ends, moved)
    if not before.exceeded:
        if cause and not risen:
            return Comparison(Change.UNCHANGED, cause)
        return Comparison(Change.NEW, end, moved, tuple(now.exceeded))
    if risen:
        return Comparison(Change.WORSE, end, moved, risen)
    if end:
        return Comparison(Change.CLEARED, end, moved)
    if is_better:
        return Comparison(Change.BETTER, None, moved)
    return Comparison(Change.UNCHANGED, cause if before.exceeded != now.exceeded else None)


def _by_name(before: Seen, now: Seen, present: Findings, related: Related) -> Comparison:
    moved, crossed = _moved(before, now, present, related)
    earlier, state = before.image_state, now.image_state
    was_open, is_open = bool(open_findings(before)), bool(open_findings(now))
    is_worse = bool(moved.news or moved.ended)
    is_better = bool(moved.gone or moved.better or moved.accepted)
    is_moved = _is_threshold_moved(earlier, state)
    end = Cause.END_OF_FAILURE if _is_end_of_failure(earlier) else None

    def told(change: Change, cause: Cause | None = None) -> Comparison:
        counts = difference(earlier, state)
        risen = tuple(name for name, more in counts.items() if more > 0)
        return Comparison(change, cause, counts, risen, moved)

    if not is_open:
        if not was_open and not earlier.failed:
            return told(Change.UNCHANGED)
        if is_moved and not is_better and not earlier.failed:
            return told(Change.UNCHANGED, Cause.THRESHOLD)
        if not was_open:
            return told(Change.CLEARED, Cause.END_OF_FAILURE)
        is_accepted = moved.accepted and not moved.gone and not moved.better
        return told(Change.CLEARED, Cause.ACCEPTED if is_accepted else None)
    if not was_open:
        if is_moved and not is_worse:
            return told(Change.UNCHANGED, Cause.THRESHOLD)
        return told(Change.NEW, end)
    if is_worse or (crossed and not is_moved):
        return told(Change.WORSE, end)
    if end:
        return told(Change.CLEARED, end)
    if is_better:
        return told(Change.BETTER)
    is_shifted = is_moved and earlier.exceeded != state.exceeded
    return told(Change.UNCHANGED, Cause.THRESHOLD if is_shifted else None)


def _moved(
    before: Seen, now: Seen, present: Findings, related: Related
) -> tuple[Moved, set[FindingKey]]:
    """Return what has changed, and what is open only because a threshold is exceeded now."""
    known = before.findings or {}
    was, is_ = open_findings(before), open_findings(now)
    appeared = {key for key in is_ if key not in known}
    ended = {key for key in is_ if key in known and known[key].is_accepted}
    stayed = {key for key in is_ if key in known} - ended
    worse = {key for key in stayed if _rank(present, key) < _rank(known, key)}
    crossed = {key for key in stayed - worse if key not in was}
    gone = {key for key in was if key not in present}
    accepted = {key for key in was if key in present and present[key].is_accepted}
    better = {
        key
        for key in was
        if key in present and key not in accepted and _rank(present, key) > _rank(known, key)
    }
    renamed = _renamed(appeared, gone, related)
    appeared -= renamed.keys()
    gone -= set(renamed.values())
    # The same vulnerability in another package of the image is no news, and is not fixed either.
    worst_before, worst_now = _worst_ranks(was, known), _worst_ranks(is_, present)
    spread = {key for key in appeared if worst_before.get(key[0], _NO_RANK) <= _rank(present, key)}
    gone = {key for key in gone if worst_now.get(key[0], _NO_RANK) > _rank(known, key)}
    back = {key for key in appeared - spread if key in before.gone}
    moved = Moved(
        new=frozenset(appeared - spread - back),
        back=frozenset(back),
        worse=frozenset(worse),
        better=frozenset(better),
        gone=frozenset(gone),
        accepted=frozenset(accepted),
        ended=frozenset(ended),
        spread=frozenset(spread),
        renamed=renamed,
    )
    return moved, crossed


def _rank(findings: Findings, key: FindingKey) -> int:
    return severity_rank(findings[key].severity)


def _worst_ranks(keys: Collection[FindingKey], findings: Findings) -> dict[str, int]:
    """Return the worst rank of each vulnerability, which can be in several packages."""
    ranks: dict[str, int] = {}
    for key in keys:
        ranks[key[0]] = min(_rank(findings, key), ranks.get(key[0], _NO_RANK))
    return ranks


def _renamed(
    appeared: Collection[FindingKey], gone: Collection[FindingKey], related: Related
) -> dict[FindingKey, FindingKey]:
    """Pair what has appeared with what has gone in the same package under another name.

    Either names the other as related, or a name of another database has become a CVE.
    """
    in_package = Counter(package for _, package in appeared)
    pairs: dict[FindingKey, FindingKey] = {}
    for name, package in appeared:
        if in_package[package] == 1:
            same = [
                each
                for each in gone
                if each[1] == package and _is_same_vulnerability(each[0], name, related)
            ]
            if len(same) == 1:
                pairs[name, package] = same[0]
    return pairs


def _is_same_vulnerability(before: str, now: str, related: Related) -> bool:
    is_named = before in related.get(now, ()) or now in related.get(before, ())
    return is_named or (now.startswith("CVE-") and not before.startswith("CVE-"))
