"""Format a digest as a message."""

from ledger.changes import Change
from registry.findings import SEVERITIES
from reporting.message import Level, Line, Message, Value, sections
from reporting.reports import DigestedImage, DigestReport

_WORDS = {
    Change.NEW: "new",
    Change.WORSE: "worse",
    Change.FAILED: "failed",
    Change.BETTER: "better",
    Change.UNCHANGED: "unchanged",
    Change.CLEARED: "cleared",
}
_LEVELS = {
    Change.NEW: Level.HIGH,
    Change.WORSE: Level.HIGH,
    Change.BETTER: Level.LOW,
    Change.CLEARED: Level.OK,
}


def message_of_digest(report: DigestReport) -> Message:
    """Return the message about a digest: how many images changed and how, worst first."""
    images = sum(report.changes.values())
    changed = "" if Change.UNCHANGED in report.changes else " changed"
    counted = [(kind, report.changes[kind]) for kind in _WORDS if kind in report.changes]
    listed = ", ".join(f"{count:,} {_WORDS[kind]}" for kind, count in counted)
    more = report.images_omitted
    omitted = (
        f"{more:,} more {'image is' if more == 1 else 'images are'} listed only in the full digest."
    )
    return Message(
        level=_level(report),
        title=(
            f"ECR digest: {images:,} {'image' if images == 1 else 'images'}{changed} ({listed})",
        ),
        link=report.link,
        link_text="Open the full digest in the console",
        subject=report.subject,
        counts=tuple(
            (_LEVELS.get(kind, Level.INFO), (f"{count:,} {_WORDS[kind]}",))
            for kind, count in counted
        ),
        facts=(
            ("Images", (f"{images:,}",)),
            ("Document", (Value.of(f"s3://{report.bucket}/{report.document}"),)),
            ("Account", (Value.of(report.account), " in ", Value.of(report.region))),
        ),
        sections=sections("Images, worst first", map(_image, report.images)),
        remarks=((omitted,),) if report.images_omitted else (),
    )


def _level(report: DigestReport) -> Level:
    if report.severity in SEVERITIES[:4]:
        return Level(report.severity)
    return Level.OK if report.changes.keys() == {Change.CLEARED} else Level.INFO


def _image(image: DigestedImage) -> Line:
    counted = [
        f"{count:,} {name.lower()}" + (f" ({_signed(image.difference[name])})" if moved else "")
        for name, count in image.severities.items()
        for moved in (name in image.difference,)
    ]
    counted += [
        f"{_signed(more)} {name.lower()}"
        for name, more in image.difference.items()
        if name not in image.severities
    ]
    words = f" {_WORDS[image.change]}"
    if image.change is Change.UNCHANGED and not counted:
        words = " nothing above a threshold"
    return (Value.of(image.image, image.link), words, f": {', '.join(counted)}" if counted else "")


def _signed(more: int) -> str:
    return f"{'+' if more > 0 else '\N{MINUS SIGN}'}{abs(more):,}"
