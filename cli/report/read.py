"""Read the state of the registry: from ECR, from the ledger, and from the files of runs."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from cli.aws_errors import NotAllowed, in_a_sentence
from cli.exits import CommandError, UsageError
from cli.policy import has_names, lowest_severity, policy_of, repository_filter_of
from cli.report.document import Report, ReportedImage, ReportedRun
from cli.report.images import BASIC, ENHANCED, Known, Rules, by_severity, reported_image
from cli.report.inventory import Inventory, WantedFindings, read_inventory
from cli.report.listing import ListedImage, Lister, Listing, matching, repositories_of
from cli.report.named_findings import UNNAMED, known_by_number, not_searched
from cli.report.totals import histogram_of, totals_of, worst_first
from cli.risks_in_effect import RisksInEffect, acceptances, risks_in_effect
from cli.run_files import ImageLine, RunFiles
from cli.shown_commands import aws, own
from cli.stack import Stack
from cli.subscriptions import is_pending, subscriptions
from ledger.attributes import Key
from ledger.notified_images import NotifiedImage
from ledger.run_summaries import SummaryDocument
from registry.ecr import EcrRegistry
from registry.images import Image
from reporting.text import visible
from rescan_registry.outcomes import Decision, Outcome
from rescan_registry.policy import RescanPolicy
from runtime import clock
from runtime.nouns import counted

MOST_RUNS = 30  # of the trend
LATEST = "latest"
_ALL_IMAGES = "report --worst 0 -o json"
_BY_THE_LISTING = frozenset({Outcome.UNSCANNABLE, Outcome.ARCHIVED, Outcome.EXCLUDED})


@dataclass(frozen=True)
class Scope:
    """Which images a report is about.

    repository: a pattern, matched from the start. as_of_run: the name of a run, or latest: the
    images that it has found; absent: those that ECR has now.
    """

    repository: str | None = None
    as_of_run: str | None = None


@dataclass(frozen=True)
class Affected:
    """The images that have a vulnerability. Of their findings, only those of it are listed.

    images: those that exist, the worst first.
    gone: how many images had it at their last scan, and no longer exist.
    searched: how many images have findings by name in the ledger.
    """

    vulnerability: str
    images: tuple[ReportedImage, ...]
    gone: int
    searched: int
    read_units: float
    missing: tuple[str, ...]


def read(stack: Stack, scope: Scope) -> Report:
    """Read the report of a stack.

    Raises CommandError if the ledger is empty or AWS refuses, and UsageError for a pattern or a run
    that cannot be used.
    """
    sources = _Sources.of(stack, scope)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(sources.inventory)
        runs = sources.files.summaries(MOST_RUNS)
        run = sources.run_of(runs)
        lines = sources.lines(run)
        listing = sources.existing(run, lines, sources.chosen(lines))
        scan_type = sources.scan_type(run)
        inventory = reading.result()
    if inventory.is_empty and not runs:
        raise CommandError(
            f"The ledger is empty: no run has ended yet. {own(stack, 'run --follow')} starts one, "
            "and shows when it has ended."
        )
    rules, remarks = sources.rules(scan_type, {each.repository for each in listing.images})
    images = worst_first(_reported(listing.images, inventory, lines, rules))
    subscribers, not_counted = _subscribers(stack)
    return Report(
        stack=stack.name,
        account=stack.account.identity["Account"],
        region=stack.account.region,
        made_at=sources.now,
        version=stack.version,
        scan_type=scan_type,
        rescan_after=sources.policy.rescan_after,
        interval=sources.policy.schedule_interval,
        lowest=sources.lowest,
        as_of_run=run.run if run and scope.as_of_run else None,
        totals=totals_of(images, listing.repositories),
        histogram=(
            () if scan_type == ENHANCED else histogram_of(images, sources.policy, sources.now)
        ),
        images=images,
        runs=tuple(map(_reported_run, runs)),
        subscribers=subscribers,
        read_units=inventory.read_units,
        missing=(*listing.missing, *sources.missing(inventory), *remarks, *not_counted),
    )


def read_affected(stack: Stack, scope: Scope, vulnerability: str) -> Affected:
    """Read which images have a vulnerability, by its name in any case.

    Raises as read does.
    """
    sources = _Sources.of(stack, scope)
    wanted = vulnerability.casefold()
    inventory = sources.inventory(mentioning=wanted)
    having = {
        key
        for key, known in inventory.findings.items()
        if any(name.casefold() == wanted for name, _ in known.kept)
    }
    run = sources.run_of(sources.files.summaries(MOST_RUNS)) if scope.as_of_run else None
    lines = sources.lines(run)
    by_number = {*inventory.known_by_number(sources.now)} - having
    looked_at = {repository for repository, _ in having | by_number}
    repositories = matching(looked_at, scope.repository)
    if not repositories:
        sources.chosen(lines)
    listing = sources.existing(run, lines, repositories)
    rules, remarks = sources.rules(sources.scan_type(run), {key[0] for key in having}, wanted)
    listed = [each for each in listing.images if (each.repository, each.image.digest) in having]
    images = worst_first(_reported(listed, inventory, lines, rules))
    unnamed = tuple(_unnamed(stack, listing, by_number)) if rules.has_names else (UNNAMED,)
    unknown = (
        known_by_number((image.repository, image.image_digest), "it")
        for image in images
        if rules.has_names and not image.findings
    )
    return Affected(
        vulnerability=vulnerability,
        images=tuple(image for image in images if image.findings),
        gone=sum(map(listing.lacks, having)),
        searched=inventory.searched,
        read_units=inventory.read_units,
        missing=(*unnamed, *unknown, *listing.missing, *sources.missing(inventory), *remarks),
    )


def _unnamed(stack: Stack, listing: Listing, by_number: Collection[Key]) -> Iterable[str]:
    """Say how many images exist whose findings have no names, so that they cannot be searched."""
    keys = ((each.repository, each.image.digest) for each in listing.images)
    if count := sum(key in by_number for key in keys):
        yield f"{not_searched(count)} is_named is false in: {own(stack, _ALL_IMAGES)}"


@dataclass(frozen=True)
class _Sources:
    """Where a report is read, with clients that were made in one thread."""

    stack: Stack
    scope: Scope
    files: RunFiles
    registry: EcrRegistry
    policy: RescanPolicy
    lowest: str
    risks: RisksInEffect
    now: datetime

    @classmethod
    def of(cls, stack: Stack, scope: Scope) -> "_Sources":
        """Open the sources; raise UsageError for a pattern that cannot be used."""
        matching((), scope.repository)
        now = clock.now()
        for service in ("dynamodb", "sns"):
            stack.client(service)
        return cls(
            stack=stack,
            scope=scope,
            files=RunFiles(stack),
            registry=EcrRegistry(stack.client("ecr")),
            policy=policy_of(stack, now),
            lowest=lowest_severity(stack),
            risks=risks_in_effect(stack),
            now=now,
        )

    def inventory(self, mentioning: str = "") -> Inventory:
        """Read the ledger."""
        names = frozenset(risk.vulnerability for risk in self.risks.risks.entries)
        return read_inventory(
            self.stack.client("dynamodb"),
            self.stack.output("LedgerTableName"),
            WantedFindings(self.lowest, names, mentioning),
        )

    def run_of(self, runs: Collection[SummaryDocument]) -> SummaryDocument | None:
        """Return the run that knows the outcomes of images, and which images there were.

        runs: newest first. A dry run starts no scans: it counts only if the scope names it. Raises
        UsageError for a run that is not kept.
        """
        real = [each for each in runs if not each.dry_run]
        newest = next((each for each in real if each.is_whole), next(iter(real), None))
        if self.scope.as_of_run in (None, LATEST):
            run = newest
        else:
            run = self.files.summary(self.scope.as_of_run)
        if run is None and self.scope.as_of_run:
            raise UsageError(
                f"There is no run {self.scope.as_of_run} that has ended and is kept. "
                f"{own(self.stack, 'status')} lists the last ones."
            )
        return run

    def lines(self, run: SummaryDocument | None) -> Mapping[Key, ImageLine]:
        """Read what a run has found out about each image."""
        lines = self.files.images(run.run) if run else ()
        return {(line.repository, line.image_digest): line for line in lines}

    def chosen(self, lines: Mapping[Key, ImageLine]) -> frozenset[str]:
        """Name the repositories that are covered, or that a run has found, and that match.

        Raises UsageError for a pattern that matches none of them: a report on nothing looks well.
        """
        if self.scope.as_of_run:
            names = frozenset(repository for repository, _ in lines)
        else:
            names = repositories_of(self.registry, repository_filter_of(self.stack))
        pattern = self.scope.repository
        found = matching(names, pattern)
        if pattern is not None and not found:
            raise UsageError(
                f"--repository {visible(pattern)} matches none of "
                f"{counted(len(names), 'repository')} that ecr-rescan covers. It is matched from "
                f"the start of a name: {aws(self.stack, 'ecr describe-repositories')} lists them."
            )
        return found

    def existing(
        self,
        run: SummaryDocument | None,
        lines: Mapping[Key, ImageLine],
        repositories: Collection[str],
    ) -> Listing:
        """Return the images of some repositories that exist, or that a run has found."""
        if run and self.scope.as_of_run:
            found = [_found(line) for line in lines.values() if line.repository in repositories]
            images = tuple(each for each in found if each)
            if missing := _not_listed(run, self.scope.repository):
                return Listing(len(repositories), images, missing=missing)
            # Of a repository without images, a run leaves no line, as of one that it did not take.
            listed = frozenset(repository for repository, _ in lines) & frozenset(repositories)
            return Listing(len(repositories), images, listed)
        return Lister(self.registry, self.policy, self.now).list_images(repositories)

    def scan_type(self, run: SummaryDocument | None) -> str:
        """Return the scan type of the registry, now or at a run."""
        if run and self.scope.as_of_run:
            return run.scan_type or BASIC
        return self.registry.scan_type()

    def rules(
        self, scan_type: str, repositories: Collection[str], only: str = ""
    ) -> tuple[Rules, tuple[str, ...]]:
        """Return by what images are judged, and which accepted risks are not applied."""
        accepted = acceptances(self.risks.risks, repositories, self.now.date())
        rules = Rules(
            *(self.policy, scan_type, accepted.by_repository, self.now, self.lowest, only),
            has_names=has_names(self.stack),
        )
        refused = (self.risks.refusal,) if self.risks.refusal else ()
        return rules, (*refused, *accepted.remarks)

    def missing(self, inventory: Inventory) -> Iterable[str]:
        """Say what could not be read of the ledger and of the files of runs."""
        yield from inventory.missing()
        for key in self.files.damaged:
            yield f"Outcomes of images are incomplete: {key} cannot be read."


def _reported(
    images: Iterable[ListedImage],
    inventory: Inventory,
    lines: Mapping[Key, ImageLine],
    rules: Rules,
) -> Iterable[ReportedImage]:
    delivered: dict[str, dict[str, NotifiedImage]] = defaultdict(dict)
    for (repository, digest), notified in inventory.notified.items():
        delivered[repository][digest] = notified
    for each in images:
        key = each.repository, each.image.digest
        known = Known(
            record=inventory.record(key),
            # Not needed any more: half of the memory.
            findings=inventory.findings.pop(key, None),
            child=inventory.children.get(key),
            line=lines.get(key),
            notified=inventory.notified.get(key),
            origins=delivered.get(each.repository, {}),
        )
        yield reported_image(each, known, rules)


def _found(line: ImageLine) -> ListedImage | None:
    """Return an image as a run has found it; None for one that was deleted meanwhile."""
    if line.outcome == Outcome.GONE:
        return None
    return ListedImage(
        line.repository,
        Image(line.image_digest, line.pushed_at, line.image_tags, line.pulled_at),
        next(
            (Decision(each, line.reason or "") for each in _BY_THE_LISTING if each == line.outcome),
            None,
        ),
    )


def _not_listed(run: SummaryDocument, pattern: str | None) -> tuple[str, ...]:
    """Say of how many repositories that match a run does not know all images."""
    # Version 0.3.0 counted only what was not done.
    unknown = run.repositories_unknown if run.scan_type else run.repositories_not_done
    named = [problem.repository for problem in run.problems] + [*run.deferred]
    left = run.repositories_not_done + run.repositories_deferred
    if not unknown or (unknown <= left == len(named) and not matching(named, pattern)):
        return ()
    return (
        f"Images of {counted(unknown, 'repository')} are missing: run {run.run} has not listed all "
        "of them.",
    )


def _reported_run(run: SummaryDocument) -> ReportedRun:
    fresh = run.freshness
    oldest = (run.ended_at - fresh.oldest_at).total_seconds() if fresh and fresh.oldest_at else None
    return ReportedRun(
        run=run.run,
        status=run.status,
        is_dry_run=run.dry_run,
        started_at=run.started_at,
        ended_at=run.ended_at,
        repositories=run.repositories,
        repositories_not_done=run.repositories_not_done,
        repositories_deferred=run.repositories_deferred,
        outcomes=run.images.outcomes(),
        is_whole=run.is_whole,
        scannable=fresh.scannable if fresh else None,
        overdue=fresh.overdue if fresh else None,
        oldest_hours=None if oldest is None else round(oldest / 3_600, 1),
        images_with=by_severity(fresh.images_with) if fresh else {},
        findings=by_severity(fresh.severities) if fresh else {},
    )


def _subscribers(stack: Stack) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Count the subscribers of the topic of notifications by protocol, as of now."""
    topic = stack.outputs.get("NotificationTopicArn")
    if topic is None:
        return {}, ()
    try:
        with in_a_sentence():
            found = subscriptions(stack, topic)
    except NotAllowed as error:
        return {}, (f"The subscribers of notifications are missing: {error}",)
    return Counter(each["Protocol"] for each in found if not is_pending(each)), ()
