"""Everything that is known of one image, and why: ecr-rescan why."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli.call import Call
from cli.exits import CommandError, ExitCode, UsageError
from cli.image_changes import NOT_DELIVERED, ChangeShown, changes_of
from cli.image_items import ItemsOfImage, items_of
from cli.output import add_row, age, duration, print_whole, table
from cli.policy import has_names, lowest_severity, policy_of
from cli.report.document import Freshness, ReportedImage
from cli.report.images import ENHANCED, Known, Rules, reported_image
from cli.report.inventory import UNREADABLE, incomplete
from cli.report.listing import ListedImage, Lister, filtered
from cli.report.named_findings import NamedFindings
from cli.report.rows import image_document
from cli.risks_in_effect import acceptances, risks_in_effect
from cli.run_files import ImageLine, RunFiles
from cli.shown_commands import aws, own
from cli.stack import Stack
from ledger.image_baselines import Baselines
from ledger.image_records import ImageRecord
from ledger.table import Table
from registry.ecr import EcrRegistry
from registry.images import Image
from reporting.text import visible
from rescan_registry.last_scans import known_scan, newer, scan_dates
from rescan_registry.outcomes import SCAN_QUOTA, Outcome
from rescan_registry.policy import RescanPolicy
from rescan_registry.repository_step import OUT_OF_BUDGET
from rescan_registry.staleness import why_not_due
from runtime import clock
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

MOST_RUNS = 7
_IMAGE = re.compile(
    r"(?P<repository>[a-z0-9][a-z0-9._/-]*)(?:@(?:sha256:)?(?P<digest>[0-9a-f]{12,64})|:(?P<tag>\w[\w.-]{0,127}))"
)
_DIGITS = 64


@dataclass(frozen=True)
class InRun:
    """What a run decided about the image. outcome: absent if it did not decide."""

    run: str
    ended_at: datetime
    outcome: str | None
    reason: str | None


@dataclass(frozen=True)
class Explanation:
    """What is known of an image.

    state: as the report has it. runs: newest first. changes: newest first.
    next_scan: in a sentence or two. look: the command that lists what was not delivered.
    missing: what could not be read, or is accepted and not applied, in sentences.
    """

    image: str
    in_ecr: bool
    state: ReportedImage
    rescan_after: float
    runs: tuple[InRun, ...]
    changes: tuple[ChangeShown, ...]
    next_scan: str
    look: str
    now: datetime
    missing: tuple[str, ...] = ()

    def document(self) -> Mapping[str, object]:
        """Return all of it."""
        return {
            "image": self.image,
            "in_ecr": self.in_ecr,
            "state": image_document(self.state),
            "runs": self.runs,
            "changes": self.changes,
            "next_scan": self.next_scan,
            "missing": self.missing,
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per run."""
        return [vars(each) for each in self.runs]

    def show(self, console: "Console") -> None:
        """Print it."""
        state = self.state
        tags = f":{', '.join(state.tags[:3])}" if state.tags else ""
        facts = table(("", ""))
        facts.show_header = False
        add_row(facts, "image", f"{state.repository}{tags}   {state.image_digest[:19]}…")
        add_row(facts, "in ECR", self._in_ecr())
        add_row(facts, "now", self._now())
        add_row(facts, "open", self._open())
        console.print(facts)
        if self.runs:
            console.print()
            rows = table(("ended (UTC)", "outcome", "reason", "run"))
            for each in self.runs:
                outcome = each.outcome or "not decided"
                add_row(rows, f"{each.ended_at:%m-%d %H:%M}", outcome, each.reason or "", each.run)
            print_whole(console, rows)
        if self.changes:
            console.print()
            rows = table(("when (UTC)", "what changed", "who was notified (UTC)"))
            for change in self.changes:
                add_row(
                    rows, f"{change.at:%m-%d %H:%M}", change.sentence(), change.notified_or_why()
                )
            console.print(rows)
            if any(NOT_DELIVERED in each.not_notified.values() for each in self.changes):
                console.print(f"\nWhat was not delivered: {self.look}", soft_wrap=True)
        console.print(f"\n{self.next_scan}", soft_wrap=True)

    def _in_ecr(self) -> str:
        if not self.in_ecr:
            return "no"
        pushed = f", pushed {self.state.pushed_at:%Y-%m-%d}" if self.state.pushed_at else ""
        pulled = (
            f", last pulled {age(self.state.pulled_at, self.now)} ago"
            if self.state.pulled_at
            else ""
        )
        return f"yes{pushed}{pulled}"

    def _now(self) -> str:
        state = self.state
        if state.freshness is Freshness.NONE:
            return f"{state.outcome}: {state.reason}"
        last = f"last scan {age(state.scanned_at, self.now)} ago" if state.scanned_at else "no scan"
        return f"{state.freshness}: {last}, RescanAfter is {duration(self.rescan_after)}"

    def _open(self) -> str:
        if not self.state.counts and self.state.scanned_at is None:
            return "not known, never scanned"
        counts = self.state.open_counts()
        words = [f"{count} {severity.lower()}" for severity, count in counts.items() if count]
        accepted = sum(self.state.accepted_counts.values())
        more = f"; {accepted} accepted" if accepted else ""
        return f"{', '.join(words) or 'nothing'}{more}"


@dataclass(frozen=True)
class _Named:
    """What the operator has named: a repository, and a tag or the start of a digest."""

    repository: str
    tag: str | None
    digits: str | None

    def matches(self, image: Image) -> bool:
        """Return whether an image is meant."""
        if self.tag:
            return self.tag in image.tags
        return image.digest.removeprefix("sha256:").startswith(self.digits or "-")


def why(call: Call, image: str) -> ExitCode:
    """Explain one image."""
    explained = explain(call.stack, image)
    call.answer(explained)
    for sentence in explained.missing:
        call.output.complain(sentence)
    return ExitCode.INCOMPLETE if explained.missing else ExitCode.DONE


def explain(stack: Stack, image: str) -> Explanation:
    """Read what is known of an image.

    Raises UsageError if the name is none, means several images, or is known nowhere.
    """
    named, now = _named(image), clock.now()
    policy = policy_of(stack, now)
    registry, files = EcrRegistry(stack.client("ecr")), RunFiles(stack)
    ledger = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    existing = Lister(registry, policy, now).list_images([named.repository]).images
    listed = _one(named, [each for each in existing if named.matches(each.image)])
    digest = listed.image.digest if listed else _digest_of(named, ledger)
    items = items_of(ledger, named.repository, digest, now)
    stored = items.stored
    runs, line = _in_runs(files, named.repository, digest)
    if not (listed or stored.record.last_scan or runs or items.missing):
        list_images = aws(stack, "ecr list-images", repository_name=named.repository)
        raise UsageError(
            f"{visible(image)} is neither in ECR nor in the ledger: "
            f"{list_images} lists what there is."
        )
    in_effect = risks_in_effect(stack)
    accepted = acceptances(in_effect.risks, {named.repository}, now.date())
    rules = Rules(
        policy,
        registry.scan_type(),
        accepted.by_repository,
        now,
        lowest_severity(stack),
        has_names=has_names(stack),
    )
    found = listed or ListedImage(named.repository, Image(digest, tags=stored.tags))
    state = reported_image(found, _known(items, line), rules)
    never = _why_never(stack, listed, named.repository, rules)
    return Explanation(
        image=image,
        in_ecr=listed is not None,
        state=state,
        rescan_after=policy.rescan_after.total_seconds(),
        runs=runs,
        changes=changes_of(stack, stored, items.notified),
        next_scan=never or _next_scan(stack, found, state, _Basis(stored.record, rules, line)),
        look=own(stack, "undelivered"),
        now=now,
        missing=(
            *items.missing,
            *(
                f"Outcomes of the image are incomplete: {key} cannot be read."
                for key in files.damaged
            ),
            *([in_effect.refusal] if in_effect.refusal else []),
            *accepted.remarks,
        ),
    )


def _named(image: str) -> _Named:
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise UsageError(
            f"{visible(image)} names no image: give repository:tag, repository@sha256:… or "
            "repository@ and at least 12 digits of the digest."
        )
    return _Named(match["repository"], match["tag"], match["digest"])


def _one(named: _Named, found: list[ListedImage]) -> ListedImage | None:
    if len(found) > 1:
        which = ", ".join(f"{named.repository}@{each.image.digest}" for each in found)
        raise UsageError(f"{len(found)} images begin so: {which}. Give one of them.")
    return found[0] if found else None


def _digest_of(named: _Named, ledger: Table) -> str:
    """Find the digest of an image that ECR does not have, in the ledger."""
    if named.tag:
        try:
            pointers = Baselines(ledger).pointers(named.repository, [named.tag])
        except UNREADABLE as error:
            what = incomplete(f"{named.repository}:{named.tag}")
            raise CommandError(f"{what} Give the digest of the image.") from error
        if named.tag in pointers:
            return pointers[named.tag].image_digest
    elif named.digits and len(named.digits) < _DIGITS:
        prefix = f"image#sha256:{named.digits}"
        items = [*ledger.query(f"repository#{named.repository}", prefix)]
        if len(items) > 1:
            which = ", ".join(item["sk"].removeprefix("image#") for item in items)
            raise UsageError(f"{len(items)} deleted images begin so: {which}. Give one of them.")
        if items:
            return str(items[0]["sk"].removeprefix("image#"))
    return f"sha256:{named.digits or ''}"


def _in_runs(
    files: RunFiles, repository: str, digest: str
) -> tuple[tuple[InRun, ...], ImageLine | None]:
    """Return what the last runs decided, newest first, and the newest line not of a dry run."""
    runs, newest = list[InRun](), None
    for summary in files.summaries(MOST_RUNS):
        lines = files.images(summary.run, repository)
        line = next((each for each in lines if each.image_digest == digest), None)
        if line:
            newest = newest or (None if summary.dry_run else line)
            runs.append(InRun(summary.run, summary.ended_at, line.outcome, line.reason))
    return tuple(runs), newest


def _known(items: ItemsOfImage, line: ImageLine | None) -> Known:
    known = items.stored.findings
    named = known and NamedFindings(
        scan_type=known.scan_type,
        since=known.since,
        counts=Counter(each.severity for each in known.findings.values()),
        kept=known.findings,
        versions={},
    )
    record, child = items.stored.record, items.stored.child
    return Known(record, named or None, child, items.notified, line, items.origins)


def _why_never(
    stack: Stack, listed: ListedImage | None, repository: str, rules: Rules
) -> str | None:
    """Say why no run scans the image, at any age; None if runs do."""
    if listed is None:
        return "It is not in ECR, and will not be scanned."
    if rules.scan_type == ENHANCED:
        return "Amazon Inspector scans it again by itself: enhanced scanning."
    if listed.decision:
        return f"No run will scan it: {listed.decision.outcome}, {listed.decision.reason}."
    pattern = stack.parameter("RepositoryFilter")
    if not filtered([repository], pattern):
        return (
            f"No scheduled run will scan it: RepositoryFilter={visible(pattern)} does not match "
            f"{repository}."
        )
    return None


@dataclass(frozen=True)
class _Basis:
    """What says when an image is scanned next. line: of the newest run that decided on it."""

    record: ImageRecord
    rules: Rules
    line: ImageLine | None


def _next_scan(stack: Stack, listed: ListedImage, state: ReportedImage, basis: _Basis) -> str:
    """Say when an image is scanned next that runs scan."""
    policy, record, now = basis.rules.policy, basis.record, basis.rules.now
    last_scan = newer(known_scan(record, now), listed.image.last_scan)
    dates = scan_dates(listed.image, record)
    decision = why_not_due(last_scan, dates.with_scan(last_scan), policy, now)
    if decision and decision.outcome in (Outcome.UNSUPPORTED, Outcome.UNSCANNABLE):
        retry = duration(policy.unsupported_retry_after.total_seconds())
        found = f"ECR cannot scan it ({decision.reason}). It is tried again {retry} later."
    elif last_scan and last_scan.status == "IN_PROGRESS" and decision:
        return "A scan of it is under way."
    elif decision and state.scanned_at:
        due_at = state.scanned_at + policy.due_after
        found = f"It will be scanned by the first run after {due_at:%Y-%m-%d %H:%M} UTC."
    else:
        found = _when_due(basis.line, policy)
    if stack.parameter("ScheduleState") == "ENABLED":
        return found
    return f"{found} No run is scheduled, ScheduleState=DISABLED: {own(stack, 'run')} starts one."


def _when_due(line: ImageLine | None, policy: RescanPolicy) -> str:
    if line and line.outcome == Outcome.FAILED:
        return (
            f"The next run tries it again; the last one failed with {visible(line.reason or '')}, "
            "which docs/operations.md explains."
        )
    if line and line.outcome == Outcome.DEFERRED and line.reason == SCAN_QUOTA.reason:
        return "It will be scanned when the daily quota allows it: older scans are renewed first."
    if line and line.outcome == Outcome.DEFERRED and line.reason == OUT_OF_BUDGET.reason:
        scans = counted(policy.max_scans_per_repository, "scan")
        return (
            f"It is due: a run starts {scans} in a repository at most (MaxScansPerRepository), for "
            "the oldest ones first."
        )
    return "It is due: the next run starts its scan, older ones first."
