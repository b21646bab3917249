"""A scan compared with what was known of its image: what has changed, and what is stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from ledger.changes import Cause, Change, ChangedFinding, FindingsChange, worst_first
from ledger.image_records import ImageState
from ledger.known_findings import KnownFinding, KnownFindings, NotedChange, next_findings
from notify_scan.known_image import KnownImage
from notify_scan.scan_details import CompletedScan
from registry.findings import Finding, FindingKey, severity_rank
from reporting.changes import (
    Comparison,
    Findings,
    Moved,
    Seen,
    compare,
    counted_unaccepted,
    difference,
)
from reporting.reports import ScanReport, ScanType
from reporting.thresholds import OTHER, Thresholds, counted

MOST_REPORTED = 12_000  # bytes of the findings in a report: about 50; seven messages hold them


@dataclass(frozen=True)
class ComparedScan:
    """A scan with what has changed since the one before.

    report: with everything that messages say. image_state: what is stored as the baseline.
    compared_state: what was compared; another one only where image_state is the first by name.
    findings: what is stored by name; absent where the names are not known.
    by_name: what has changed, with as many findings as the ledger keeps.
    left: what can be left of the stored findings, where only the number of findings is known.
    """

    report: ScanReport
    comparison: Comparison
    image_state: ImageState
    compared_state: ImageState
    findings: Findings | None = None
    by_name: FindingsChange | None = None
    left: Findings | None = None

    def news(self, severities: Collection[str]) -> list[str] | None:
        """Return the vulnerabilities of some severities that are new, back or rated higher.

        The worst first; none where they are not known by name. None if nothing is new.
        """
        if self.comparison.change not in (Change.NEW, Change.WORSE):
            return None
        moved, findings = self.comparison.moved, self.findings
        if moved is None or findings is None:
            return None if set(severities).isdisjoint(self.comparison.risen) else []
        keys = [key for key in moved.news if findings[key].severity in severities]
        keys.sort(key=lambda key: (severity_rank(findings[key].severity), key))
        return list(dict.fromkeys(name for name, _ in keys)) or None

    def next_findings(
        self, known: KnownImage, *, event_id: str, today: date, expires_at: int
    ) -> KnownFindings | None:
        """Return the findings to store, or None if they are as they are stored, or not known."""
        own, before = known.stored.findings, known.findings_before
        if self.findings is None:
            return self._left_of(known, today, expires_at)
        if own is None and not self.findings and not (before and (before.findings or before.gone)):
            return None  # nothing was ever there
        is_same = own is not None and own.findings == self.findings
        if is_same and own and own.scan_type == self.report.scan_type:
            return None
        is_other_type = self.comparison.cause is Cause.FIRST_OF_TYPE
        return next_findings(
            self.findings,
            None if is_other_type else before or own,
            own=own,
            noted=NotedChange(
                event_id=event_id,
                change=self.comparison.change,
                image_state=self.image_state,
                by_name=(self.by_name or FindingsChange()).cut(),
                cause=self.comparison.cause,
                compared_with=known.compared_with,
                accepted=self.report.accepted,
            ),
            today=today,
            expires_at=expires_at,
        )

    def _left_of(self, known: KnownImage, today: date, expires_at: int) -> KnownFindings | None:
        """Return the findings to store after a scan that is known by number.

        The next scan that can be read by name is compared with them, and names what is new.
        """
        own = known.stored.findings
        if self.left is None or (own and own.findings == self.left):
            return None
        before = known.findings_before or KnownFindings(0, self.image_state.scan_type or "", today)
        left = before.reduced_to(self.left, today)
        return replace(left, changes=own.changes if own else (), expires_at=expires_at)


def compared(
    scan: CompletedScan, known: KnownImage, thresholds: Thresholds, now: datetime
) -> ComparedScan:
    """Compare a scan by name where that is possible, and by number otherwise."""
    report, today = scan.report, now.date()
    present = _present(scan, known, today)
    by_number, by_name = known.before, known.before_by_name
    if present is not None and (by_number is None or by_name or by_number.is_found_empty):
        image_state = _state(report, counted_unaccepted(present), thresholds)
        before = by_name or by_number
        related = {each.name: each.related for each in (scan.findings or {}).values()}
        comparison = compare(before, Seen(image_state, present), related)
        if _is_over_by_number(comparison, by_number, image_state):
            comparison = replace(compare(by_number, Seen(image_state)), moved=comparison.moved)
        compared_state = image_state
    else:
        before = by_number
        compared_state = image_state = _state_by_number(scan, known, thresholds)
        comparison = compare(before, Seen(image_state))
        if present is not None:
            image_state = _state(report, counted_unaccepted(present), thresholds)
    changed = None
    if comparison.moved is not None and present is not None:
        present = _with_dates_of_renamed(present, comparison.moved, known.findings_before)
        changed = _changed(comparison.moved, scan, present, known.findings_before)
    return ComparedScan(
        _reported(report, comparison, image_state, before, changed, known),
        comparison,
        image_state,
        compared_state,
        present,
        changed,
        _left(scan, known) if present is None and report.is_complete else None,
    )


def _is_over_by_number(
    comparison: Comparison, by_number: Seen | None, image_state: ImageState
) -> bool:
    """Return whether findings are gone that were known, and perhaps reported, by number alone."""
    was_above = by_number is not None and bool(by_number.image_state.exceeded)
    is_same = comparison.change is Change.UNCHANGED and comparison.cause is None
    return is_same and was_above and not image_state.is_alarm


def compared_again(
    report: ScanReport, noted: NotedChange, before: ImageState | None
) -> ComparedScan:
    """Return what an event has changed that was processed before, without asking ECR again."""
    image_state = noted.image_state
    report = replace(
        report,
        severities={name: count for name, count in image_state.counts.items() if count},
        other=0,
        change=noted.change,
        cause=noted.cause,
        by_name=noted.by_name.within(MOST_REPORTED),
        compared_with=noted.compared_with,
        accepted=noted.accepted,
        open_now=_exceeded(image_state),
        open_before=_exceeded(before or ImageState()),
        open_since=_open_since(noted.by_name),
        difference=difference(before, image_state) if before else {},
    )
    comparison = Comparison(noted.change, noted.cause, report.difference)
    return ComparedScan(report, comparison, image_state, image_state)


def _present(
    scan: CompletedScan, known: KnownImage, today: date
) -> dict[FindingKey, KnownFinding] | None:
    """Return the findings of a scan with the day of their first sight and what brought them."""
    if scan.findings is None:
        return None
    before = known.findings_before or known.stored.findings
    were = before.findings if before else {}
    had_gone = before.gone if before else {}
    first: dict[str, KnownFinding] = {}
    earliest_last = sorted(were.items(), key=lambda item: item[1].first_seen)[::-1]
    for (name, _), each in earliest_last:
        first[name] = each

    def seen(key: FindingKey, severity: str) -> KnownFinding:
        is_accepted = key in scan.accepted
        same = were.get(key) or first.get(key[0])
        dated = were.get(key) or had_gone.get(key) or same
        first_seen = dated.first_seen if dated else today
        if same and not (same.is_accepted and not is_accepted):
            return KnownFinding(severity, first_seen, is_accepted, same.revision, same.origin)
        # New, back, or no longer accepted: what was delivered before does not say so.
        return KnownFinding(severity, first_seen, is_accepted, known.next_revision)

    return {key: seen(key, finding.severity) for key, finding in scan.findings.items()}


def _with_dates_of_renamed(
    present: dict[FindingKey, KnownFinding], moved: Moved, before: KnownFindings | None
) -> dict[FindingKey, KnownFinding]:
    known = before.findings if before else {}
    earlier = {key: known[was] for key, was in moved.renamed.items()}
    return present | {
        key: replace(
            present[key], first_seen=was.first_seen, revision=was.revision, origin=was.origin
        )
        for key, was in earlier.items()
    }


def _state(report: ScanReport, counts: dict[str, int], thresholds: Thresholds) -> ImageState:
    return ImageState(
        counts=counts,
        exceeded=tuple(thresholds.exceeded(counts)),
        thresholds=thresholds.in_force,
        scan_type=report.scan_type,
    )


def _state_by_number(scan: CompletedScan, known: KnownImage, thresholds: Thresholds) -> ImageState:
    report, before = scan.report, known.before.image_state if known.before else None
    # What was found last is still there, also if it cannot be scanned now.
    as_found = replace(
        before or ImageState(), failed=False, is_unsupported=False, is_monitored=True
    )
    if report.is_unsupported:
        return replace(as_found, is_unsupported=True)
    if not report.is_monitored:
        return replace(as_found, is_monitored=False)
    if not report.is_complete:
        return replace(as_found, failed=True)
    return _state(report, _counts(scan, known, before, thresholds), thresholds)


def _counts(
    scan: CompletedScan, known: KnownImage, before: ImageState | None, thresholds: Thresholds
) -> dict[str, int]:
    """Count the findings of a scan that is compared by number."""
    report, counts = scan.counted, thresholds.counts(scan.counted)
    is_old = before is not None and before.thresholds is None
    if is_old and report.scan_type is ScanType.ENHANCED:
        return counts  # as version 0.3.0 counted, which read no list of enhanced scanning
    if scan.findings is None:
        accepted = [each.severity for each in known.findings_now.values() if each.is_accepted]
    else:
        accepted = [scan.findings[key].severity for key in scan.accepted]
    counts = {name: max(0, counts[name] - less) for name, less in counted(accepted).items()}
    if report.scan_type is ScanType.ENHANCED and before and before.thresholds is not None:
        # The event of enhanced scanning has LOW and below only in its total.
        untold = [name for name in counts if name not in report.severities and name != OTHER]
        kept = {name: min(before.counts.get(name, 0), counts[OTHER]) for name in untold}
        counts |= kept | {OTHER: max(0, counts[OTHER] - sum(kept.values()))}
    return counts


def _left(scan: CompletedScan, known: KnownImage) -> Findings | None:
    """Return what can be left of the image's findings: none of a severity that is not counted.

    None where nothing is known by name.
    """
    before, report = known.findings_before, scan.counted
    if before is None:
        return {} if known.before and known.before.is_found_empty else None
    if before.scan_type != report.scan_type:
        return None
    is_basic = report.scan_type is ScanType.BASIC

    def may_be_left(severity: str) -> bool:
        if severity in report.severities:
            return report.severities[severity] > 0
        return report.other > 0 or not is_basic

    return {key: each for key, each in before.findings.items() if may_be_left(each.severity)}


def _changed(
    moved: Moved,
    scan: CompletedScan,
    present: Mapping[FindingKey, KnownFinding],
    before: KnownFindings | None,
) -> FindingsChange:
    known, gone = (before.findings, before.gone) if before else ({}, {})
    since = before.since if before else None

    def shown(key: FindingKey, *, was: str = "") -> ChangedFinding:
        finding = (scan.findings or {}).get(key)
        seen = present.get(key) or known[key]
        details = finding or Finding(key[0], seen.severity, key[1])
        return ChangedFinding(
            name=key[0],
            package=key[1],
            severity=seen.severity,
            version=details.version,
            fixed_in=details.fixed_in,
            score=details.score,
            uri=details.uri,
            has_exploit=details.has_exploit,
            first_seen=seen.first_seen.isoformat(),
            is_seen_later=seen.first_seen == since,
            was=was,
            gone_on=gone[key].gone_on.isoformat() if key in gone else "",
        )

    def listed(keys: frozenset[FindingKey]) -> tuple[ChangedFinding, ...]:
        return worst_first(map(shown, keys))

    def rated(keys: frozenset[FindingKey]) -> tuple[ChangedFinding, ...]:
        return worst_first(shown(key, was=known[key].severity) for key in keys)

    return FindingsChange(
        new=listed(moved.new),
        back=listed(moved.back),
        worse=rated(moved.worse),
        better=rated(moved.better),
        gone=listed(moved.gone),
        accepted=listed(moved.accepted),
        ended=listed(moved.ended),
        spread=listed(moved.spread),
        renamed=worst_first(
            shown(key, was=was[0] if was[0] != key[0] else was[1])
            for key, was in moved.renamed.items()
        ),
    )


def _reported(
    report: ScanReport,
    comparison: Comparison,
    image_state: ImageState,
    before: Seen | None,
    changed: FindingsChange | None,
    known: KnownImage,
) -> ScanReport:
    earlier = before.image_state if before else ImageState()
    return replace(
        report,
        change=comparison.change,
        cause=comparison.cause,
        difference=comparison.difference if before else {},
        by_name=changed.within(MOST_REPORTED) if changed else None,
        open_now=_exceeded(image_state),
        open_before=_exceeded(earlier),
        open_since=_open_since(changed) if changed else None,
        compared_with=known.compared_with,
    )


def _exceeded(image_state: ImageState) -> dict[str, int]:
    return {name: image_state.counts.get(name, 0) for name in image_state.exceeded}


def _open_since(changed: FindingsChange) -> str | None:
    return min((each.first_seen for each in changed.gone if each.first_seen), default=None)
