"""What a report is, in words: the same in every channel."""

import json
from datetime import datetime

from registry.findings import SEVERITIES, Finding
from reporting.decision import Decision
from reporting.message import Level, Line, Message, Value
from reporting.reports import Change, NoticeReport, RunReport, ScanReport
from reporting.thresholds import OTHER

_DONE = ("DUE", "STARTED", "FRESH", "RECENT", "DEFERRED", "FAILED")
_SKIPPED = ("UNSCANNABLE", "UNSUPPORTED", "ARCHIVED", "EXCLUDED", "GONE")
_LEVELS = {name: Level(name) for name in SEVERITIES[:4]}
_OUTCOME_LEVELS = {"FAILED": Level.HIGH, "DEFERRED": Level.MEDIUM, "STARTED": Level.OK}
_STILL = "Still: "
_OPENINGS: dict[Change | None, str] = {Change.WORSE: "Worse: ", Change.BETTER: "Better: "}
_CHANGES = {
    Change.NEW: "new",
    Change.WORSE: "worse",
    Change.BETTER: "better",
    Change.CLEARED: "cleared",
    Change.FAILED: "the scan before had not failed",
    Change.UNCHANGED: "none",
}
_RUN_TITLES = {
    "FINISHED": "Rescan finished: ",
    "INCOMPLETE": "Rescan incomplete: ",
    "FAILED": "Rescan failed: ",
    "TIMED_OUT": "Rescan timed out: ",
    "ABORTED": "Rescan was stopped: ",
}
_STOPPED = ("TIMED_OUT", "ABORTED")
_RERUN = "To rerun only what did not finish, start an execution with the input"
_RERUN_IF_LISTED = (
    "To rerun only what did not finish, start an execution with this input, or with the one that "
    "the run had if it had listed no repositories yet"
)


def message_of_scan(report: ScanReport, decision: Decision) -> Message:
    """Say what was found in which image."""
    found = dict(report.severities)
    if report.other:
        found[OTHER] = found.get(OTHER, 0) + report.other
    image = Value.of(report.image)
    level = Level.OK
    title: Line
    if not report.is_complete:
        level, title = Level.INFO, (f"{_STILL if report.is_reminder else ''}Scan failed: ", image)
    elif decision.exceeded:
        level = _level(next(iter(decision.exceeded)))
        counted = _listed_severities(decision.exceeded)
        title = (f"{_opening(report)}{counted} in ", image)
    else:
        what = "Nothing above a threshold" if any(found.values()) else "No findings"
        any_more = " any more" if report.change == Change.CLEARED else ""
        title = (f"{what}{any_more} in ", image)
    return Message(
        level=level,
        title=title,
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
        heading=f"The {len(report.worst_findings)} worst",
        lines=tuple(map(_finding, report.worst_findings)),
        remarks=tuple((Value.of(remark),) for remark in report.remarks),
    )


def _opening(report: ScanReport) -> str:
    return _STILL if report.is_reminder else _OPENINGS.get(report.change, "")


def message_of_run(report: RunReport) -> Message:
    """Say what a run has done, what it has left, and how to rerun that."""
    return Message(
        level=Level.OK if report.status == "FINISHED" else Level.HIGH,
        title=(
            ("Dry run. " if report.dry_run else "")
            + _RUN_TITLES.get(report.status, "Rescan ended: "),
            *_run_title(report),
        ),
        link=report.link,
        link_text="Open the execution in the console",
        subject=report.subject,
        counts=tuple(
            (_OUTCOME_LEVELS.get(name, Level.INFO), _count(name, report.images[name]))
            for name in sorted(report.images, key=_importance)
        ),
        facts=_run_facts(report),
        heading="Repositories that did not finish",
        lines=_problems(report),
        command_heading=_RERUN_IF_LISTED if report.status in _STOPPED else _RERUN,
        command=Value.of(json.dumps(report.rerun)).text if report.rerun else None,
    )


def message_of_notice(report: NoticeReport) -> Message:
    """Say what somebody must put right."""
    return Message(
        level=Level.INFO,
        title=(report.title, Value.of(report.about)),
        link=report.link,
        link_text="Open the document in the console",
        subject=report.subject,
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
        told: Line = (f" and {more:,} more",) if more else ()
        facts.append(("Tags", (Value.of(", ".join(report.tags)), *told)))
    else:
        facts.append(("Tags", ("none",)))
    facts.append(("Digest", (Value.of(report.digest) if report.digest else "not told",)))
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
    """Say what has changed, and since what."""
    words = _CHANGES[change]
    moved = f": {_moved(report.difference)}" if report.difference else ""
    if report.compared_with:
        return (f"{words}{moved}, compared with ", Value.of(report.compared_with[:19]))
    return (words + moved,)


def _accepted(report: ScanReport) -> Line:
    """Say which findings somebody has decided to live with."""
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


def _run_facts(report: RunReport) -> tuple[tuple[str, Line], ...]:
    facts: list[tuple[str, Line]] = [("Run", (Value.of(report.run),))]
    if not report.broke_off:
        gone = f", {report.repositories_gone:,} of them deleted meanwhile"
        facts.append(
            ("Repositories", (f"{report.repositories:,}", gone if report.repositories_gone else ""))
        )
        facts.append(("Images", (f"{sum(report.images.values()):,} looked at",)))
        skipped = {name: report.reasons[name] for name in _SKIPPED if name in report.reasons}
        if skipped:
            images = sum(sum(reasons.values()) for reasons in skipped.values())
            facts.append(("Skipped", (f"{images:,}: ", Value.of(_reasons(skipped)))))
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


def _problems(report: RunReport) -> tuple[Line, ...]:
    lines: list[Line] = [
        (Value.of(problem.repository), ": ", Value.of(problem.problem))
        for problem in report.problems
    ]
    if (more := report.repositories_not_done - len(report.problems)) > 0:
        lines.append((f"and {more:,} more; summary.json in the run bucket names them all",))
    return tuple(lines)


def _run_title(report: RunReport) -> Line:
    if report.broke_off:
        return (Value.of(report.error or report.run),)
    repositories = _counted(report.repositories, "repository", "repositories")
    if report.repositories_not_done:
        return (f"{report.repositories_not_done:,} of {repositories} left",)
    if report.dry_run:
        images = _counted(report.images.get("DUE", 0), "image", "images")
        return (f"{images} due in {repositories}",)
    scans = _counted(report.images.get("STARTED", 0), "scan", "scans")
    return (f"{scans} started in {repositories}",)


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
