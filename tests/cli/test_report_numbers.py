"""The numbers of a report: by the rules of runs, and the same as what they are sums of."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import reduce
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import CommandError
from cli.policy import lowest_severity, policy_of
from cli.report.document import Acceptance, Freshness, ReportedFinding, ReportedImage
from cli.report.images import Known, Rules, freshness, reported_image
from cli.report.listing import ListedImage
from cli.report.named_findings import NamedFindings
from cli.report.names import channel_name, image_name
from cli.report.read import Scope, read
from cli.report.totals import (
    histogram_of,
    notified_of,
    oldest_first,
    open_counts,
    open_since,
    totals_of,
    worst_first,
)
from cli.stack import Account, Address, Stack, open_stack
from ledger.image_records import Attempt, Baseline, ImageRecord, ImageRecords, ImageState
from ledger.image_records import RecordedScan as Scan
from ledger.known_findings import KnownFinding
from ledger.run_records import Freshness as RunFreshness
from local.registry.botocore_face import attach
from registry.ecr import EcrRegistry
from registry.findings import SEVERITIES, severity_rank
from registry.images import Image, LastScan
from rescan_registry.find_stale_images import find_stale_images
from rescan_registry.image_cache import ImageCache
from rescan_registry.policy import ImageSelection
from rescan_registry.repository_step import RepositoryInRun
from rescan_registry.scan_history import EcrScanHistory
from tests.cli.conftest import StackInMemory
from tests.support.builders import any_digest, any_image, any_policy, any_surroundings
from tests.support.clock import NOW
from tests.support.fakes import FakePace
from tests.support.registry_and_ledger import DAY, RegistryAndLedger

HOUR = timedelta(hours=1)
DIGEST = any_digest()
FOUND = ReportedFinding("CVE-1", "zlib", "", "CRITICAL", date(2026, 3, 3))


def any_reported(**given: Any) -> ReportedImage:
    values = {"repository": "team/api", "image_digest": DIGEST, "freshness": Freshness.INSIDE}
    return ReportedImage(**values | given)


def rules() -> Rules:
    return Rules(any_policy(), "BASIC", {}, NOW, "LOW")


def reported(
    image: Image | None = None, record: ImageRecord | None = None, **known: Any
) -> ReportedImage:
    image = image or any_image()
    listed = ListedImage("team/api", image)
    return reported_image(listed, Known(record or ImageRecord(image.digest), **known), rules())


@pytest.mark.parametrize(
    ("scanned", "pushed", "fresh"),
    [
        (7 * DAY, 90 * DAY, Freshness.INSIDE),
        (7 * DAY + HOUR, 90 * DAY, Freshness.DUE),
        (9 * DAY, 90 * DAY, Freshness.DUE),
        (9 * DAY + HOUR, 1 * DAY, Freshness.OVERDUE),
        (None, 9 * DAY, Freshness.WAITING),
        (None, 9 * DAY + HOUR, Freshness.OVERDUE),
        (None, None, Freshness.WAITING),
    ],
)
def test_a_scan_is_inside_due_or_overdue(
    scanned: timedelta | None, pushed: timedelta | None, fresh: Freshness
) -> None:
    scanned_at = None if scanned is None else NOW - scanned
    pushed_at = None if pushed is None else NOW - pushed
    assert freshness(ImageRecord(DIGEST), scanned_at, pushed_at, rules()) is fresh


def test_finds_what_a_run_finds(stack: StackInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that starts no scan leaves the registry as the report has it."""
    world = RegistryAndLedger()
    for number, days in enumerate((1, 6.9, 7.1, 8.9, 9.1, 30)):
        digest = world.image("team/api", f"v{number}")
        at = NOW - days * DAY
        world.scan("team/api", digest, at=at, severities={"HIGH": number, "LOW": 1})
    world.image("team/new", "v1", pushed_at=NOW - HOUR)
    world.image("team/new", "v2", pushed_at=NOW - 20 * DAY)
    unsupported = world.image("team/new", "v3")
    world.scan("team/new", unsupported, at=NOW - 40 * DAY, status="UNSUPPORTED_IMAGE")
    client = boto3.client("ecr")
    attach(client, world.registry, sleep=lambda _: None)
    registry, found = EcrRegistry(client), list[RunFreshness]()
    for repository in world.registry.repositories:
        around = replace(
            any_surroundings(),
            registry=registry,
            history=EcrScanHistory(registry, FakePace().as_pace, NOW),
            cache=ImageCache(ImageRecords(world.table), repository, kept_until=NOW + DAY),
        )
        work = RepositoryInRun("run-1", repository, any_policy(max_scans_per_repository=0))
        found.append(find_stale_images(work, around, now=NOW).freshness)
    run = reduce(RunFreshness.merged, found)

    make = Account._client.__wrapped__

    def attached(account: Account, service: str, region: str | None) -> Any:
        made = make(account, service, region)
        if service == "ecr":
            attach(made, world.registry, sleep=lambda _: None)
        return made

    monkeypatch.setattr(Account, "_client", attached)
    address = Address("ecr-rescan")
    report = read(open_stack(Account(address), address), Scope())
    totals = report.totals
    assert run.oldest_at is not None
    assert (totals.scannable, totals.overdue) == (run.scannable, run.overdue) == (8, 3)
    assert totals.never_scanned == run.never == 2
    assert totals.oldest_hours == (NOW - run.oldest_at) / HOUR
    assert totals.findings == run.severities
    assert totals.images_with == run.images_with


counts = st.dictionaries(st.sampled_from([*SEVERITIES, "OTHER"]), st.integers(1, 5))


@st.composite
def images(draw: st.DrawFn) -> ReportedImage:
    """Make an image with findings by number, some of them accepted."""
    found = draw(counts)
    accepted = {name: draw(st.integers(0, count)) for name, count in found.items()}
    age = draw(st.none() | st.integers(0, 24 * 30))
    fresh = draw(st.sampled_from(Freshness))
    return ReportedImage(
        repository=draw(st.sampled_from(["a", "b", "c"])),
        image_digest=draw(st.sampled_from(["1", "2", "3"])),
        freshness=fresh,
        scanned_at=None if age is None else NOW - age * HOUR,
        age_hours=age,
        outcome="EXCLUDED" if fresh is Freshness.NONE else None,
        counts=found,
        accepted_counts=accepted,
    )


@given(st.lists(images()))
def test_totals_are_sums_of_their_images(made: list[ReportedImage]) -> None:
    totals = totals_of(made, 3)
    assert totals.inside + totals.due + totals.overdue + totals.waiting == totals.scannable
    scannable = [each for each in made if each.freshness is not Freshness.NONE]
    assert totals.never_scanned == sum(each.scanned_at is None for each in scannable)
    ages = [each.age_hours for each in scannable if each.age_hours is not None]
    assert totals.oldest_hours == max(ages, default=None)
    assert totals.scannable + sum(totals.not_scannable.values()) == totals.images == len(made)
    all_findings = sum(sum(each.counts.values()) for each in made)
    assert sum(totals.findings.values()) + totals.accepted == all_findings
    assert [*totals.findings] == sorted(totals.findings, key=severity_rank)
    for severity, number in totals.images_with.items():
        assert number == sum(severity in open_counts(each) for each in made)


@given(st.lists(images()))
def test_each_scan_is_in_one_bar(made: list[ReportedImage]) -> None:
    bars = histogram_of(made, any_policy(), NOW)
    dated = [each for each in made if each.scanned_at and each.freshness is not Freshness.NONE]
    assert sum(each.images for each in bars) == len(dated)
    assert [each.from_days for each in bars[1:]] == [each.to_days for each in bars[:-1]]
    assert bars[-1].to_days is None
    late = sum(each.images for each in bars if each.freshness is Freshness.OVERDUE)
    assert late == sum(each.scanned_at < NOW - 9 * DAY for each in dated if each.scanned_at)


@given(st.lists(images()), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_it_was_read(
    made: list[ReportedImage], random: Any
) -> None:
    def seen(sorted_images: Any) -> list[Any]:
        return [(open_counts(each), each.age_hours, each.image_digest) for each in sorted_images]

    def by_name(each: ReportedImage) -> tuple[str, str]:
        return each.repository, each.image_digest

    unique = list({by_name(each): each for each in made}.values())
    shuffled = random.sample(unique, len(unique))
    assert seen(worst_first(unique)) == seen(worst_first(shuffled))
    assert seen(oldest_first(unique)) == seen(oldest_first(shuffled))
    critical = [open_counts(each).get("CRITICAL", 0) for each in worst_first(unique)]
    assert critical == sorted(critical, reverse=True)


def test_counts_by_name_are_not_those_that_ecr_counts() -> None:
    """A package in two places of an image is one finding, as in messages."""
    record = ImageRecord(DIGEST, Scan(NOW, "COMPLETE", "BASIC", {"HIGH": 2}))
    named = NamedFindings("BASIC", date(2026, 1, 1), Counter({"HIGH": 1}), {}, {})
    assert reported(record=record, findings=named).counts == {"HIGH": 1}
    missing = ImageRecord(
        DIGEST, Scan(NOW, "COMPLETE", "BASIC", {"HIGH": 2}, other=1), names_missing=NOW
    )
    image = reported(record=missing, findings=named)
    assert (image.counts, image.is_named) == ({"HIGH": 2, "OTHER": 1}, False)


@pytest.mark.parametrize(
    ("scan", "baseline", "is_named"),
    [
        # As many as the scan has counted, or fewer: a package in two places.
        ({"HIGH": 3, "LOW": 1}, None, True),
        ({"HIGH": 2, "LOW": 1}, None, True),
        ({"HIGH": 4, "LOW": 1, "MEDIUM": 0}, {"HIGH": 1, "LOW": 1, "OTHER": 0}, True),
        # A scan after them.
        ({"HIGH": 1, "LOW": 1}, None, False),
        ({"HIGH": 2}, None, False),
        ({"HIGH": 2, "LOW": 1, "CRITICAL": 1}, None, False),
        ({}, None, False),
        # A scan after them that is known by number alone.
        ({"HIGH": 2, "LOW": 1}, {"HIGH": 2, "LOW": 1}, False),
        ({"HIGH": 30, "LOW": 1}, {"HIGH": 29, "LOW": 1}, False),
    ],
)
def test_findings_are_named_if_they_can_be_those_of_the_last_scan(
    scan: dict[str, int], baseline: dict[str, int] | None, is_named: bool
) -> None:
    """Two are HIGH, of which one was accepted when the image was scanned, and one is LOW."""
    accepted = {("CVE-1", "zlib"): KnownFinding("HIGH", date(2026, 3, 3), is_accepted=True)}
    named = NamedFindings("BASIC", date(2026, 1, 1), Counter({"HIGH": 2, "LOW": 1}), accepted, {})
    seen = Baseline(ImageState(baseline), NOW, revision=1, notes=()) if baseline else None
    record = ImageRecord(DIGEST, Scan(NOW, "COMPLETE", "BASIC", scan), baseline=seen)
    image = reported(record=record, findings=named)
    assert image.counts == ({"HIGH": 2, "LOW": 1} if is_named else scan)
    assert image.is_named == (is_named or not scan)


def test_counts_of_enhanced_scanning_do_not_have_all_severities() -> None:
    """The event counts no suppressed finding, and has LOW and below only in its total."""
    record = ImageRecord(DIGEST, Scan(NOW, "ACTIVE", "ENHANCED", {"HIGH": 1}, other=1))
    named = NamedFindings("ENHANCED", date(2026, 1, 1), Counter({"HIGH": 2, "LOW": 1}), {}, {})
    assert reported(record=record, findings=named).counts == {"HIGH": 2, "LOW": 1}


def test_counts_of_the_last_scan_that_completed() -> None:
    state = ImageState({"HIGH": 3, "LOW": 0})
    baseline = Baseline(state, NOW, revision=1, notes=())
    failed = ImageRecord(DIGEST, Scan(NOW, "FAILED", "BASIC"), baseline=baseline)
    assert reported(record=failed).counts == {"HIGH": 3}


def test_the_newest_date_of_a_scan_counts() -> None:
    hint = LastScan("COMPLETE", completed_at=NOW - DAY)
    record = ImageRecord(DIGEST, Scan(NOW - 5 * DAY, "COMPLETE", "BASIC"))
    assert reported(any_image(last_scan=hint), record).scanned_at == NOW - DAY
    future = ImageRecord(DIGEST, Scan(NOW + DAY, "COMPLETE", "BASIC"))
    assert reported(record=future).scanned_at is None


def test_an_image_that_ecr_has_refused_cannot_be_scanned() -> None:
    refused = Attempt(NOW - DAY, "UNSCANNABLE", "refused by ECR")
    image = reported(record=ImageRecord(DIGEST, last_attempt=refused))
    assert (image.freshness, image.outcome) == (Freshness.NONE, "UNSCANNABLE")
    assert image.reason == "refused by ECR"


def test_an_image_without_dates_has_no_age() -> None:
    image = reported(any_image(pushed_at=None))
    assert (image.age_hours, image.freshness) == (None, Freshness.WAITING)


def test_a_finding_is_open_since_the_oldest_of_the_worst() -> None:
    found = (
        FOUND,
        ReportedFinding("CVE-2", "zlib", "", "CRITICAL", date(2026, 2, 1)),
        ReportedFinding(
            "CVE-3", "zlib", "", "CRITICAL", date(2026, 1, 1), accepted=Acceptance(None, "a", "b")
        ),
        ReportedFinding("CVE-4", "zlib", "", "HIGH", date(2026, 1, 1)),
    )
    image = any_reported(
        counts={"CRITICAL": 3, "HIGH": 1}, accepted_counts={"CRITICAL": 1}, findings=found
    )
    assert open_since(image) == date(2026, 2, 1)
    assert open_since(any_reported(counts={"HIGH": 1})) is None


def test_channels_are_of_the_image_where_no_finding_is_known_by_name() -> None:
    image = any_reported(counts={"HIGH": 1}, notified={"SNS": None})
    assert notified_of(image, "HIGH") == ("SNS",)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"tags": ("v1",)}, "team/api:v1"),
        ({"tags": ("v1", "a", "b")}, "team/api:v1 +2"),
        ({"tags": ("latest", "v1.4.2")}, "team/api:v1.4.2 +1"),
        ({"tags": ("latest",)}, "team/api:latest"),
        ({"tags": ("v1",), "platform": "linux/arm64"}, "team/api:v1 (linux/arm64)"),
        ({"image_digest": "sha256:" + "9b" * 32}, "team/api@9b9b9b9b9b9b"),
        ({"image_digest": "9b" * 32, "platform": "a"}, "team/api@9b9b9b9b9b9b (a)"),
    ],
)
def test_names_an_image(given: Mapping[str, Any], name: str) -> None:
    assert image_name(any_reported(**given)) == name


def test_names_a_channel() -> None:
    assert [channel_name(each) for each in ("SLACK", "PAGERDUTY", "NEW\x1b")] == [
        "Slack",
        "PagerDuty",
        "NEW\N{REPLACEMENT CHARACTER}",
    ]


def deployed(stack: StackInMemory, **parameters: str) -> Stack:
    stack.parameters = parameters
    address = Address("ecr-rescan")
    return open_stack(Account(address), address)


def test_has_the_policy_of_a_run(stack: StackInMemory) -> None:
    policy = policy_of(
        deployed(
            stack,
            RescanAfter="3d",
            ScheduleIntervalSeconds="43200",
            ImageSelection="TAGGED",
            PulledWithin="60d",
            ExcludeTagPattern="tmp-",
            MaxImagesPerRepository="5",
        ),
        NOW,
    )
    assert policy == any_policy(
        rescan_after=3 * DAY,
        schedule_interval=DAY / 2,
        image_selection=ImageSelection.TAGGED,
        pulled_within=60 * DAY,
        exclude_tag_pattern="tmp-",
        max_images_per_repository=5,
        stop_at=NOW,
    )


def test_refuses_a_parameter_that_no_run_accepts(stack: StackInMemory) -> None:
    with pytest.raises(CommandError, match="The parameter RescanAfter of the stack ecr-rescan can"):
        policy_of(deployed(stack, RescanAfter="soon"), NOW)


@pytest.mark.parametrize(
    ("off", "lowest"),
    [
        ((), "LOW"),
        (("Low",), "MEDIUM"),
        (("Low", "Medium", "High", "Critical"), "HIGH"),
    ],
)
def test_lists_findings_down_to_the_lowest_threshold(
    stack: StackInMemory, off: tuple[str, ...], lowest: str
) -> None:
    given = {f"{name}Threshold": "off" for name in off}
    assert lowest_severity(deployed(stack, **given)) == lowest
    assert lowest_severity(deployed(stack, **given, OtherThreshold="0")) == "UNDEFINED"
