"""Format reports as messages, the same for every channel."""

import json
from datetime import datetime

from ledger.changes import Change
from own_events.rescan_finished import RunChange
from registry.findings import SEVERITIES, Finding
from reporting.acceptance_wording import listed_acceptances
from reporting.message import Level, Line, Message, Value, sections
from reporting.reports import NoticeReport, RunReport, ScanReport, ScanType
from reporting.thresholds import OTHER

_DONE = ("DUE", "STARTED", "FRESH", "RECENT", "DEFERRED", "FAILED")
_SKIPPED = ("UNSCANNABLE", "UNSUPPORTED", "ARCHIVED", "EXCLUDED", "GONE")
_LEVELS = {name: Level(name) for name in SEVERITIES[:4]}
_OUTCOME_LEVELS = {"FAILED": Level.HIGH, "DEFERRED": Level.MEDIUM, "STARTED": Level.OK}
_OPENINGS: dict[Change | None, str] = {Change.WORSE: "ECR worse: ", Change.BETTER: "ECR better: "}
_CHANGES = {
    Change.NEW: "new",
    Change.WORSE: "worse",
    Change.BETTER: "better",
    Change.CLEARED: "cleared",
    Change.FAILED: "newly failing",
    Change.UNCHANGED: "none",
}
_ENDS = {
    "FINISHED": "finished",
    "INCOMPLETE": "incomplete",
    "FAILED": "failed",
    "TIMED_OUT": "timed out",
    "ABORTED": "aborted",
}
_STOPPED = ("TIMED_OUT", "ABORTED")
_RERUN = (
    "To rerun only the repositories that did not finish, start an execution of RescanRegistry with "
    "this input:"
)
_RERUN_IF_LISTED = (
    "If the run ended before it listed repositories, start it again with the input that it had. "
    "Otherwise, to rerun only the repositories that did not finish, start an execution of "
    "RescanRegistry with this input:"
)
_RERUN_DEFERRED = (
    "To rescan the repositories that were not reached before the next run does, start an "
    "execution of RescanRegistry with this input:"
)
_MOST_SEVERITIES = 2  # in a title, so that the name of the image fits the subject of an email


def message_of_scan(report: ScanReport) -> Message:
    """Return the message about one scan: the findings, and what has changed."""
    found = dict(report.severities)
    if report.other:
        found[OTHER] = found.get(OTHER, 0) + report.other
    image = Value.of(report.image)
    opening, *shorter = _scan_openings(report, found)
    return Message(
        level=_scan_level(report),
        title=(opening, image),
        headlines=tuple((each, image) for each in (opening, *shorter)),
        link=report.link,
        link_text="Open the scan in the console",
        subject=report.subject,
        counts=tuple(
            (_level(name) if count else Level.INFO, _count(name, count))
            for name, count in found.items()
        )
        if report.is_complete
        else (),
        facts=_scan_facts(report),
        sections=sections("Worst findings", map(_finding, report.worst_findings)),
        remarks=tuple((Value.of(remark),) for remark in report.remarks),
    )


def _scan_level(report: ScanReport) -> Level:
    if not report.is_complete:
        return Level.INFO
    return _level(next(iter(report.open_now))) if report.open_now else Level.OK


def _scan_openings(report: ScanReport, found: dict[str, int]) -> list[str]:
    """Return the words before the name of the image, and shorter ones for an email subject."""
    if not report.is_complete:
        failed = "ECR scan failed: "
        return ["ECR reminder: scan still fails: ", failed] if report.is_reminder else [failed]
    if not report.open_now:
        above = " above a threshold" if any(found.values()) else ""
        if report.change is Change.CLEARED:
            return [f"ECR cleared: no findings{above} in ", "ECR cleared: "]
        return [f"ECR: no findings{above} in ", "ECR OK: "]
    opening = "ECR reminder: " if report.is_reminder else _OPENINGS.get(report.change, "ECR: ")
    worst = list(report.open_now.items())[:_MOST_SEVERITIES]
    counted = [f"{opening}{_findings(dict(worst[:most]))} in " for most in range(len(worst), 0, -1)]
    return [*counted, "ECR: findings in " if opening == "ECR: " else opening]


def _findings(counts: dict[str, int]) -> str:
    noun = "finding" if sum(counts.values()) == 1 else "findings"
    return f"{_listed_severities(counts)} {noun}"


def message_of_run(report: RunReport) -> Message:
    """Return the message about one run: its outcomes, and how to rerun what did not finish."""
    rescan = "ECR dry run" if report.dry_run else "ECR rescan"
    return Message(
        level=Level.OK if report.status == "FINISHED" else Level.HIGH,
        title=(f"{rescan} {_ENDS.get(report.status, 'ended')}: ", *_run_title(report)),
        link=report.link,
        link_text="Open the execution in the console",
        subject=report.subject,
        counts=tuple(
            (_OUTCOME_LEVELS.get(name, Level.INFO), _count(name, report.images[name]))
            for name in sorted(report.images, key=_importance)
        ),
        facts=_run_facts(report),
        sections=sections("Repositories that did not finish", _problems(report)),
        command_heading=_rerun_heading(report),
        command=Value.of(json.dumps(report.rerun)).text if report.rerun else None,
    )


def message_of_more_incidents(report: ScanReport) -> Message:
    """Return the message that stands for all incidents of an hour beyond the most that are opened."""
    return message_of_scan(report)


def message_of_notice(report: NoticeReport) -> Message:
    """Return the message about something in ecr-rescan itself that must be fixed."""
    return Message(
        level=Level.INFO,
        title=(report.title, Value.of(report.about)),
        link=report.link,
        link_text="Open the document in the console",
        subject=report.subject,
        sections=listed_acceptances(report),
        facts=(
            ("Problem", (Value.of(report.problem),)),
            ("Account", (Value.of(report.account), " in ", Value.of(report.region))),
        ),
    )


def _importance(outcome: str) -> int:
    known = _DONE + _SKIPPED
    return known.index(outcome) if outcome in known else len(known)


def _scan_facts(report: ScanReport) -> tuple[tuple[str, Line], ...]:
    facts: list[tuple[str, Line]] = [("Repository", (Value.of(report.repository),))]
    if report.tags:
        more = report.tags_omitted
        omitted: Line = (f" and {more:,} more",) if more else ()
        facts.append(("Tags", (Value.of(", ".join(report.tags)), *omitted)))
    else:
        facts.append(("Tags", ("none",)))
    digest = Value.of(report.image_digest) if report.image_digest else "unknown"
    facts.append(("Image digest", (digest,)))
    facts.append(("Scan", (f"{report.scan_type.lower()}, ", Value.of(report.status))))
    if report.failure:
        facts.append(("Reason", (Value.of(report.failure),)))
    if report.accepted:
        facts.append(("Accepted", _accepted(report)))
    if report.change:
        facts.append(("Change", _changed(report, report.change)))
    facts.append(("Scanned", (_time(report.scanned_at),)))
    facts.append(("Account", (Value.of(report.account), " in ", Value.of(report.region))))
    return tuple(facts)


def _changed(report: ScanReport, change: Change) -> Line:
    """Return what has changed, and compared with which image where it is another one."""
    words = _CHANGES[change]
    moved = f": {_moved(report.difference)}" if report.difference else ""
    if report.compared_with:
        return (f"{words}{moved}, compared with ", Value.of(report.compared_with[:19]))
    return (words + moved,)


def _accepted(report: ScanReport) -> Line:
    """Return the accepted findings: how many, and the first few by name."""
    named: list[str | Value] = []
    for finding in report.accepted_findings:
        named += [", " if named else ": ", Value.of(finding.name), f" until {finding.until}"]
    more = sum(report.accepted.values()) - len(report.accepted_findings)
    return (
        _listed_severities(report.accepted),
        *named,
        f" and {more:,} more" if more > 0 else "",
    )


def _moved(difference: dict[str, int]) -> str:
    return ", ".join(
        f"{'+' if more > 0 else '\N{MINUS SIGN}'}{abs(more):,} {name.lower()}"
        for name, more in difference.items()
    )


def _listed_severities(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.lower()}" for name, count in counts.items())


def _rerun_heading(report: RunReport) -> str:
    if report.status in _STOPPED:
        return _RERUN_IF_LISTED
    return _RERUN if report.repositories_not_done or report.ended_early else _RERUN_DEFERRED


def _run_facts(report: RunReport) -> tuple[tuple[str, Line], ...]:
    facts: list[tuple[str, Line]] = [("Run", (Value.of(report.run),))]
    if report.remark:
        facts.append(("Reason", (Value.of(report.remark),)))
    if not report.ended_early:
        gone = f", {report.repositories_gone:,} of them deleted during the run"
        facts.append(
            ("Repositories", (f"{report.repositories:,}", gone if report.repositories_gone else ""))
        )
        if report.repositories_deferred:
            facts.append(("Not reached", _deferred_repositories(report)))
        facts.append(("Images", (f"{sum(report.images.values()):,} evaluated",)))
        skipped = {name: report.reasons[name] for name in _SKIPPED if name in report.reasons}
        if skipped:
            images = sum(sum(reasons.values()) for reasons in skipped.values())
            facts.append(("Skipped", (f"{images:,} (", Value.of(_reasons(skipped)), ")")))
        for name, outcome in (("Deferred", "DEFERRED"), ("Failed", "FAILED")):
            if reasons := report.reasons.get(outcome):
                facts.append((name, (Value.of(_listed(reasons)),)))
    if report.error:
        facts.append(("Error", (Value.of(report.error),)))
    if report.cause:
        facts.append(("Cause", (Value.of(report.cause),)))
    if report.started_at:
        facts.append(("Started", (_time(report.started_at),)))
    if report.ended_at:
        facts.append(("Ended", (_time(report.ended_at),)))
    facts.append(("Account", (Value.of(report.account), " in ", Value.of(report.region))))
    return tuple(facts)


def _deferred_repositories(report: RunReport) -> Line:
    repositories = _counted(report.repositories_deferred, "repository", "repositories")
    more = report.repositories_deferred - len(report.deferred)
    named = Value.of(", ".join(report.deferred))
    return (f"{repositories}: ", named, f" and {more:,} more" if more > 0 else "")


def _problems(report: RunReport) -> tuple[Line, ...]:
    lines: list[Line] = [
        (Value.of(problem.repository), ": ", Value.of(problem.problem))
        for problem in report.problems
    ]
    if (more := report.repositories_not_done - len(report.problems)) > 0:
        lines.append((f"and {more:,} more; for the full list, see summary.json in the run bucket",))
    return tuple(lines)


def _run_title(report: RunReport) -> Line:
    if report.ended_early:
        return (Value.of(report.error),) if report.error else ("run ", Value.of(report.run))
    repositories = _counted(report.repositories, "repository", "repositories")
    if report.repositories_not_done:
        return (f"{report.repositories_not_done:,} of {repositories} did not finish",)
    if report.change == RunChange.NO_REPOSITORIES:
        return ("no repository to rescan",)
    if report.scan_type == ScanType.ENHANCED:
        return ("enhanced scanning is active, no scan started",)
    opening = "basic scanning again, " if report.change == RunChange.BASIC_SCANNING else ""
    if report.dry_run:
        images = _counted(report.images.get("DUE", 0), "image", "images")
        return (f"{images} due in {repositories}",)
    scans = _counted(report.images.get("STARTED", 0), "scan", "scans")
    return (f"{opening}{scans} started in {repositories}",)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _finding(finding: Finding) -> Line:
    where = " ".join(filter(None, (finding.package, finding.version)))
    return (
        Value.of(finding.name or "unnamed", finding.uri or None),
        f" {finding.severity.lower()}" if finding.severity in SEVERITIES else "",
        " in " if where else "",
        Value.of(where),
    )


def _count(name: str, count: int) -> Line:
    words = name.lower().replace("_", " ")
    return (f"{count:,} ", words if name.isascii() and name.isalpha() else Value.of(words))


def _level(severity: str) -> Level:
    return _LEVELS.get(severity, Level.INFO)


def _reasons(outcomes: dict[str, dict[str, int]]) -> str:
    return "; ".join(f"{name.lower()}: {_listed(reasons)}" for name, reasons in outcomes.items())


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
