"""Ages and links as the page writes them."""

from datetime import timedelta

from cli.report.document import Report, ReportedFinding, ReportedRun
from runtime.nouns import counted

_SHOWN_OF_IMAGE_DIGEST = 12
HOUR = timedelta(hours=1)


def duration(length: timedelta) -> str:
    """Write a duration in days if it is whole days, else in hours."""
    hours = round(length / HOUR)
    return counted(hours // 24, "day") if hours % 24 == 0 else f"{hours:,} h"


def ago(hours: float) -> str:
    """Write an age in one unit, rounded down: what is inside a limit does not seem to be at it."""
    if hours < 2:
        return f"{int(hours * 60)} min"
    if hours < 48:
        return f"{int(hours)} h"
    days = hours / 24
    return f"{int(days * 10) / 10:g} d" if days < 10 else f"{int(days):,} d"


def which_run(report: Report, run: ReportedRun) -> str:
    """Name the last run: over how much it was, unless it is the newest and over everything."""
    if not run.is_whole:
        return f"last run, over {counted(run.repositories, 'repository')},"
    return "last run over everything" if report.last_part else "last run"


def how_ended(run: ReportedRun) -> str:
    """Say how a run has ended: what it has left, if anything."""
    if left := run.repositories_not_done + run.repositories_deferred:
        return f"{left:,} of {counted(run.repositories, 'repository')} not done"
    if run.status != "FINISHED":
        return run.status.lower()
    return "everything done" if run.is_whole else "done"


def short(image_digest: str) -> str:
    """Return as much of an image digest as operators read."""
    return image_digest.removeprefix("sha256:")[:_SHOWN_OF_IMAGE_DIGEST]


def link_of(finding: ReportedFinding) -> str:
    """Return where a vulnerability is described; empty if that is unknown."""
    link = finding.details.link if finding.details else ""
    if link.startswith(("https://", "http://")):
        return link
    kind, _, rest = finding.name.partition("-")
    if not (rest.isascii() and rest.replace("-", "").isalnum()):
        return ""
    match kind:
        case "CVE":
            return f"https://www.cve.org/CVERecord?id={finding.name}"
        case "GHSA":
            return f"https://github.com/advisories/{finding.name}"
        case _:
            return ""
