"""Compare an image with its baseline, or with that of the image that had its tag before."""

from ledger.changes import Change
from ledger.image_records import ImageState
from reporting.reports import ScanReport
from reporting.thresholds import Thresholds


def image_state_of(
    report: ScanReport, thresholds: Thresholds, before: ImageState | None
) -> ImageState:
    """Return the image state after a scan; a failed scan keeps the earlier counts."""
    if not report.is_complete:
        known = before or ImageState()
        return ImageState(known.counts, known.exceeded, failed=True)
    return ImageState(thresholds.counts(report), tuple(thresholds.exceeded(report)))


def change(before: ImageState | None, now: ImageState) -> Change:
    """Compare two image states by the findings above thresholds, as the thresholds were then."""
    if now.failed:
        return Change.UNCHANGED if before and before.failed else Change.FAILED
    if not now.exceeded:
        is_over = before is not None and before.is_alarm
        return Change.CLEARED if is_over else Change.UNCHANGED
    if before is None or not before.exceeded:
        return Change.NEW
    moved = difference(before, now).values()
    if any(more > 0 for more in moved):
        return Change.WORSE
    return Change.BETTER if moved else Change.UNCHANGED


def difference(before: ImageState | None, now: ImageState) -> dict[str, int]:
    """Return the change in the number of findings above thresholds, by severity, worst first."""
    earlier, later = _excess(before or ImageState()), _excess(now)
    names = [name for name in now.counts | (before or now).counts if name in earlier | later]
    moved = {name: later.get(name, 0) - earlier.get(name, 0) for name in names}
    return {name: more for name, more in moved.items() if more}


def _excess(image_state: ImageState) -> dict[str, int]:
    return {name: image_state.counts.get(name, 0) for name in image_state.exceeded}
