"""Format reports on runs, and notices, as messages."""

import json

from own_events.rescan_finished import RunChange
from reporting.acceptance_wording import listed_acceptances
from reporting.message import Level, Line, Message, Value, sections
from reporting.phrases import moment
from reporting.reports import NoticeReport, RunReport, ScanType
from runtime.nouns import counted

_DONE = ("STARTED", "FRESH", "RECENT", "DEFERRED", "FAILED")
_SKIPPED = ("UNSCANNABLE", "UNSUPPORTED", "ARCHIVED", "EXCLUDED", "GONE")
_OUTCOME_LEVELS = {"FAILED": Level.HIGH, "DEFERRED": Level.MEDIUM, "STARTED": Level.OK}
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


def message_of_run(report: RunReport) -> Message:
    """Return the message about one run: its outcomes, and how to rerun what did not finish."""
    return Message(
        level=Level.OK if report.status == "FINISHED" else Level.HIGH,
        title=(f"ECR rescan {_ENDS.get(report.status, 'ended')}: ", *_run_title(report)),
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


def message_of_test(report: NoticeReport) -> Message:
    """Return the message that shows an operator that a channel works."""
    return Message(
        level=Level.INFO,
        title=(report.title, Value.of(report.about)),
        link=report.link,
        link_text="Open the state machine in the console",
        subject=report.subject,
        facts=(
            ("Meaning", (report.problem,)),
            ("Account", (Value.of(report.account), " in ", Value.of(report.region))),
        ),
    )


def _importance(outcome: str) -> int:
    known = _DONE + _SKIPPED
    return known.index(outcome) if outcome in known else len(known)


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
        facts.append(("Started", (moment(report.started_at),)))
    if report.ended_at:
        facts.append(("Ended", (moment(report.ended_at),)))
    facts.append(("Account", (Value.of(report.account), " in ", Value.of(report.region))))
    return tuple(facts)


def _deferred_repositories(report: RunReport) -> Line:
    repositories = counted(report.repositories_deferred, "repository")
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
    repositories = counted(report.repositories, "repository")
    if report.repositories_not_done:
        return (f"{report.repositories_not_done:,} of {repositories} did not finish",)
    if report.change == RunChange.NO_REPOSITORIES:
        return ("no repository to rescan",)
    if report.scan_type == ScanType.ENHANCED:
        return ("enhanced scanning is active, no scan started",)
    opening = "basic scanning again, " if report.change == RunChange.BASIC_SCANNING else ""
    scans = counted(report.images.get("STARTED", 0), "scan")
    return (f"{opening}{scans} started in {repositories}",)


def _count(name: str, count: int) -> Line:
    words = name.lower().replace("_", " ")
    return (f"{count:,} ", words if name.isascii() and name.isalpha() else Value.of(words))


def _reasons(outcomes: dict[str, dict[str, int]]) -> str:
    return "; ".join(f"{name.lower()}: {_listed(reasons)}" for name, reasons in outcomes.items())


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
