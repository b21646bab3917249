"""What a run would do now, and what it would cost: ecr-rescan plan."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cli.call import Call
from cli.cost import (
    ALARMS,
    METRICS,
    QUOTA,
    RUNS_A_MONTH,
    RunCost,
    Size,
    Speed,
    alike,
    enhanced_usd_a_month,
    fan_out_usd,
    fixed_usd_a_month,
    run_cost,
    startable,
)
from cli.executions import Executions
from cli.exits import CommandError, ExitCode, UsageError
from cli.output import add_row, age, duration, table
from cli.prices import prices
from cli.run_files import ImageLine, RunFiles
from cli.run_input import check_selection, read_input
from cli.shown_commands import own
from cli.stack import Stack
from ledger.boards import Boards
from ledger.run_summaries import SummaryDocument
from ledger.table import Table
from reporting.text import visible
from rescan_registry.outcomes import Outcome
from rescan_registry.pacing import Operation, first_board
from rescan_registry.settings import RUN_TIME_LIMIT
from runtime import clock
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

DAY = timedelta(days=1)
DEFAULT_RATE = 20.0  # the first rate of a new stack
POLL_SECONDS = 3
_ANY_INPUT = "{}"  # without --input
_SHAPE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})(?:@([0-9]{1,4}(?:\.[0-9]+)?))?")
_NOT_SCANNABLE = (Outcome.UNSCANNABLE, Outcome.UNSUPPORTED, Outcome.ARCHIVED)


@dataclass(frozen=True)
class Plan:
    """What a dry run has found.

    due: images that would be scanned, the oldest scan first.
    quota_left: of ECR's scans of 24 hours, without those that pushes have used.
    is_learnt: whether ECR has ever throttled, so that the rate is a measured one.
    which: the command that names the images. damaged: files of the run that could not be read.
    """

    summary: SummaryDocument
    repository_filter: str
    due: tuple[ImageLine, ...]
    quota_left: int
    rate: float
    is_learnt: bool
    cost: RunCost
    names_images: bool
    which: str
    damaged: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return whether every repository was evaluated, and every file read."""
        return self.summary.status == "FINISHED" and not self.damaged

    def document(self) -> Mapping[str, object]:
        """Return all of it."""
        named = {"due": [_named(each) for each in self.due]} if self.names_images else {}
        return {
            "run": self.summary.run,
            "is_complete": self.is_complete,
            "counts": {
                "repositories": self.summary.repositories,
                "repositories_not_done": self.summary.repositories_not_done,
                "images": self.cost.images,
                "would_start": self.cost.due,
                "never_scanned": self._never(),
                "outcomes": self.summary.images.outcomes(),
            },
            "quota_left": self.quota_left,
            "rate": self.rate,
            "is_rate_learnt": self.is_learnt,
            **_cost_document(self.cost),
            **named,
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per image that would be scanned."""
        return [_named(each) for each in self.due]

    def show(self, console: "Console") -> None:
        """Print it."""
        summary, outcomes = self.summary, self.summary.images.outcomes()
        took = duration((summary.ended_at - summary.started_at).total_seconds())
        console.print(f"dry run {summary.run} took {took}; nothing was started\n", soft_wrap=True)
        if summary.remark:
            console.print(visible(summary.remark), soft_wrap=True)
        rows = table(("", "n", "note"), right=("n",))
        rows.show_header = False
        matched = f"filter {self.repository_filter}" if self.repository_filter else ""
        add_row(rows, "repositories", f"{summary.repositories:,}", matched)
        if summary.repositories_not_done:
            add_row(rows, "  not done", f"{summary.repositories_not_done:,}", "see below")
        add_row(rows, "images", f"{self.cost.images:,}", "")
        add_row(rows, "would start", f"{self.cost.due:,}", self._note_on_due())
        add_row(rows, "fresh", f"{outcomes.get('FRESH', 0):,}", "")
        add_row(rows, "not scannable", f"{sum(outcomes.get(o, 0) for o in _NOT_SCANNABLE):,}", "")
        for outcome, count in outcomes.items():
            if outcome not in ("DUE", "FRESH", *_NOT_SCANNABLE):
                reasons = _in_words(summary.images.reasons()[outcome])
                add_row(rows, outcome.lower(), f"{count:,}", reasons)
        add_row(rows, "scans left today", f"{self.quota_left:,}", f"of ECR's {QUOTA:,}, at most")
        source = "the rate learnt" if self.is_learnt else "ECR has never throttled"
        add_row(rows, _at(self.rate), duration(self.cost.seconds), source)
        _add_cost(rows, self.cost)
        console.print(rows)
        if self.cost.due > self.quota_left:
            later = self.cost.due - self.quota_left
            console.print(f"\n{counted(later, 'image')} would wait for the quota of the next day.")
        if self.names_images:
            console.print()
            console.print(self._images())
        for problem in summary.problems:
            console.print(visible(f"{problem.repository}: {problem.problem}"), soft_wrap=True)
        which = "" if self.names_images else f"Which ones: {self.which} · "
        console.print(f"\n{which}{_of_prices()}", soft_wrap=True)

    def _never(self) -> int:
        return sum(each.last_scan_at is None for each in self.due)

    def _note_on_due(self) -> str:
        return f"of those {self._never():,} never scanned" if self._never() else ""

    def _images(self) -> object:
        rows, now = table(("image", "last scan"), right=("last scan",)), clock.now()
        for each in self.due:
            name = (
                f"{each.repository}:{each.image_tags[0]}"
                if each.image_tags
                else (f"{each.repository}@{each.image_digest.removeprefix('sha256:')[:12]}")
            )
            add_row(rows, name, age(each.last_scan_at, now) if each.last_scan_at else "never")
        return rows


@dataclass(frozen=True)
class Estimate:
    """What runs over a registry of some shape cost, without asking AWS.

    due: images that a run finds due; it starts those of the cost.
    """

    due: int
    cost: RunCost
    rate: float
    fan_out_usd: float

    def document(self) -> Mapping[str, object]:
        """Return all of it."""
        cost = self.cost
        return {
            "counts": {
                "repositories": cost.repositories,
                "images": cost.images,
                "due": self.due,
                "would_start": cost.due,
            },
            "rate": self.rate,
            **_cost_document(cost),
            "usd_beside": {
                "queue_fan_out_run": self.fan_out_usd,
                "enhanced_scanning_month": enhanced_usd_a_month(cost.images),
            },
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return one row."""
        document = self.document()
        return [
            {
                **document["counts"],  # type: ignore[dict-item]
                "rate": self.rate,
                "seconds": document["seconds"],
                "transitions": document["transitions"],
                **{f"usd_{name}": usd for name, usd in document["usd"].items()},  # type: ignore[attr-defined]
            }
        ]

    def show(self, console: "Console") -> None:
        """Print it."""
        cost = self.cost
        console.print(
            f"{counted(cost.repositories, 'repository')}, "
            f"{counted(cost.images, 'image')}, of which a daily run "
            f"finds {self.due:,} due",
            soft_wrap=True,
        )
        if cost.due < self.due:
            console.print(
                f"It starts {cost.due:,}, and defers the others: ECR allows {QUOTA:,} scans in 24 "
                f"hours, and a run starts scans for {_hours(RUN_TIME_LIMIT)}.",
                soft_wrap=True,
            )
        console.print()
        rows = table(("", "n", "note"), right=("n",))
        rows.show_header = False
        add_row(rows, _at(self.rate), duration(cost.seconds), "")
        _add_cost(rows, cost)
        console.print(rows)
        console.print(
            "\nFor comparison: a run by a queue, with one Lambda invocation per repository and "
            f"without results, costs {_usd(self.fan_out_usd)}; enhanced scanning of these images, "
            f"{_usd(enhanced_usd_a_month(cost.images))} a month.\n{_of_prices()}",
            soft_wrap=True,
        )


def plan(call: Call, run_input: str, *, names_images: bool, shape: str | None) -> ExitCode:
    """Start a dry run, wait for it, and say what a run would do; or compute by a shape alone."""
    if shape is not None:
        if names_images or run_input != _ANY_INPUT:
            raise UsageError("--shape computes without AWS: leave out --images and --input.")
        estimate = _estimate(shape)
        call.output.write(estimate, {"made_at": clock.now()})
        return ExitCode.DONE
    document = read_input(run_input)
    stack = call.stack
    check_selection(stack, document)
    with call.output.waiting("dry run"):
        summary = _dry_run(Executions(stack), RunFiles(stack), {**document, "dry_run": True})
    made = _plan(stack, summary, document, names_images)
    call.answer(made)
    return ExitCode.DONE if made.is_complete else ExitCode.INCOMPLETE


def _estimate(shape: str) -> Estimate:
    match = _SHAPE.fullmatch(shape)
    rate = float(match[3] or DEFAULT_RATE) if match else 0.0
    if match is None or not rate:
        raise UsageError(
            f"--shape must be such as 100x50@20, not {visible(shape)}: repositories and images in "
            "each, of at most six digits, and calls per second that ECR accepts, of at most four."
        )
    sizes = alike(int(match[1]), int(match[2]))
    started = startable(sizes, rate)
    due = sum(size.due * count for size, count in sizes.items())
    return Estimate(due, run_cost(started, Speed(rate)), rate, fan_out_usd(started))


def _dry_run(
    executions: Executions, files: RunFiles, document: Mapping[str, object]
) -> SummaryDocument:
    run = executions.start("plan", document)
    execution = executions.ended(run, every=POLL_SECONDS)
    if summary := files.summary(run):
        return summary
    raise CommandError(
        f"The dry run {run} did not finish: {visible(execution.reason).rstrip('.')}. "
        "docs/operations.md#when-a-run-has-failed says what to do."
    )


def _plan(
    stack: Stack, summary: SummaryDocument, document: Mapping[str, object], names_images: bool
) -> Plan:
    files, now = RunFiles(stack), clock.now()
    images, due = Counter[str](), Counter[str]()
    would_start = list[ImageLine]()
    for line in files.images(summary.run):
        images[line.repository] += 1
        if line.outcome == Outcome.DUE:
            due[line.repository] += 1
            would_start.append(line)
    sizes = Counter(Size(images[name], due[name]) for name in images)
    sizes[Size(0, 0)] += max(0, summary.repositories - sizes.total())
    boards = Boards(Table(stack.client("dynamodb"), stack.output("LedgerTableName")))
    board = boards.read(Operation.START_IMAGE_SCAN) or first_board(now.timestamp())
    speed = Speed(
        rate=board.rate,
        children=int(stack.parameter("MaxConcurrency")),
        batches=int(stack.parameter("MaxScanConcurrency")),
    )
    given = {"input": json.dumps(document)} if document else {}
    closed_until = boards.closed_until(Operation.START_IMAGE_SCAN)
    is_closed = closed_until is not None and closed_until > now
    return Plan(
        summary=summary,
        repository_filter=str(
            document.get("repository_filter") or stack.parameter("RepositoryFilter")
        ),
        due=tuple(sorted(would_start, key=_oldest_first)),
        quota_left=0 if is_closed else max(0, QUOTA - files.started_since(now - DAY)),
        rate=round(board.rate, 1),
        is_learnt=board.is_learnt,
        cost=run_cost(sizes, speed),
        names_images=names_images,
        which=own(stack, "plan --images", **given),
        damaged=tuple(files.damaged),
    )


def _oldest_first(line: ImageLine) -> tuple[float, str]:
    scanned_at = line.last_scan_at
    return (scanned_at.timestamp() if scanned_at else -math.inf, line.image_digest)


def _named(line: ImageLine) -> dict[str, object]:
    return {
        "repository": line.repository,
        "image_digest": line.image_digest,
        "image_tags": line.image_tags,
        "last_scan_at": line.last_scan_at,
    }


def _cost_document(cost: RunCost) -> dict[str, object]:
    usage = cost.usage
    return {
        "seconds": round(cost.seconds),
        "transitions": round(usage.transitions),
        "usd": {
            "transitions": round(usage.usd_of_transitions(), 6),
            "traces": round(usage.usd_of_traces(), 6),
            "functions_and_data": round(_rest(cost), 6),
            "results": round(cost.results.usd(), 6),
            "run": round(cost.usd(), 6),
            "month_of_daily_runs": round(cost.usd() * RUNS_A_MONTH, 4),
            "fixed_month": round(fixed_usd_a_month(), 4),
        },
    }


def _rest(cost: RunCost) -> float:
    usage = cost.usage
    return usage.usd() - usage.usd_of_transitions() - usage.usd_of_traces()


def _add_cost(rows: object, cost: RunCost) -> None:
    usage = cost.usage
    monthly, fixed = _usd(cost.usd() * RUNS_A_MONTH), _usd(fixed_usd_a_month())
    for name, count, note in (
        (
            "state transitions",
            f"{round(usage.transitions):,}",
            _usd(usage.usd_of_transitions()),
        ),
        ("Lambda, DynamoDB, S3", "", _usd(_rest(cost))),
        ("X-Ray", f"{round(usage.traces):,}", _usd(usage.usd_of_traces())),
        ("results (NotifyScan)", f"{cost.due:,}", _usd(cost.results.usd())),
        ("this run", "", f"{_usd(cost.usd())}; such runs every day: {monthly} a month"),
        ("fixed", "", f"{fixed} a month: {ALARMS} alarms, {METRICS} metrics"),
    ):
        add_row(rows, name, count, note)  # type: ignore[arg-type]


def _at(rate: float) -> str:
    return f"at {rate:g} {'call' if rate == 1 else 'calls'} a second"


def _in_words(reasons: Mapping[str, int]) -> str:
    """Write reasons, and how often each one was the reason where there are several."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())


def _hours(time: timedelta) -> str:
    hours, minutes = divmod(time // timedelta(minutes=1), 60)
    return f"{hours} h {minutes} min"


def _usd(amount: float) -> str:
    """Write an amount with two digits that count."""
    return f"{amount:.4f} USD" if amount < 0.1 else f"{amount:,.2f} USD"


def _of_prices() -> str:
    known = prices()
    return f"List prices of {known.region} on {known.compared_on}, in cli/prices.toml"
