import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.changes import ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange, DigestEntry, sort_key
from ledger.errors import DigestAlreadyBegun
from ledger.image_records import ImageState
from reporting.channels.delivery import Channel, Delivery
from reporting.decision import NotifyOn
from reporting.reports import Change
from send_digest import compose_digest as module
from send_digest.compose_digest import compose_digest
from send_digest.contents import DigestPolicy
from send_digest.digest import ComposedDigest, DigestRequest
from tests.support.clock import NOW
from tests.support.digests import (
    BAD,
    FAILED,
    WELL,
    WORSE,
    FakeDigestEntries,
    any_change,
    any_entry,
)
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket
from tests.support.reports import EVERY_CHANNEL, complaints_about
from tests.support.template import ROOT, resolved, resources

CVE = ChangedFinding("CVE-2026-1", "openssl", "CRITICAL")
OTHER_CVE = ChangedFinding("CVE-2026-2", "zlib", "HIGH")
MACHINE = "arn:aws:states:eu-central-1:123456789012:execution:ecr-rescan-SendDigest"
NOTIFY_ON = frozenset({Change.NEW, Change.WORSE, Change.CLEARED, Change.FAILED})
CHANNELS = replace(EVERY_CHANNEL, digest_channels=frozenset(Channel) - {Channel.PAGERDUTY})


def composed(
    *given: DigestChange | DigestEntry,
    entries: FakeDigestEntries | None = None,
    bucket: FakeBucket | None = None,
    name: str = "digest-1",
    notify_on: frozenset[Change] = NOTIFY_ON,
) -> tuple[ComposedDigest, FakeBucket]:
    bucket = bucket or FakeBucket()
    digest = compose_digest(
        DigestRequest(f"{MACHINE}:{name}"),
        channels=CHANNELS,
        policy=DigestPolicy(frozenset(map(NotifyOn, notify_on)), timedelta(days=30)),
        entries=(entries or FakeDigestEntries(*given)).as_entries,
        bucket=bucket.as_bucket,
        now=NOW,
    )
    return digest, bucket


def deliveries_of(digest: ComposedDigest) -> list[Delivery]:
    assert isinstance(digest.deliveries, tuple)
    return list(digest.deliveries)


def report_in(digest: ComposedDigest) -> Any:
    (delivery,) = (each for each in deliveries_of(digest) if each.channel is Channel.WEBHOOK)
    content: Any = delivery.content
    return content["report"]


def test_words_a_digest_for_every_channel_that_gets_digests() -> None:
    digest, _ = composed(any_entry(1), any_entry(2, BAD, WORSE), any_entry(3, BAD, WELL))
    deliveries = deliveries_of(digest)
    assert {each.channel for each in deliveries} == set(Channel) - {Channel.PAGERDUTY}
    assert {each.about for each in deliveries} == {
        "Digest: 3 images changed (1 new, 1 worse, 1 cleared)"
    }
    assert {each.message_id for each in deliveries} == {"digest-digest-1"}
    assert [said for each in deliveries for said in complaints_about(each)] == []
    assert (digest.digest, digest.images, digest.messages) == ("digest-1", 3, 6)


def test_lists_the_worst_first() -> None:
    low = replace(BAD, counts={"LOW": 9}, exceeded=("LOW",))
    digest, _ = composed(
        any_entry(1, BAD, WELL),
        any_entry(2, WELL, low),
        any_entry(3, WELL, FAILED),
        any_entry(4, BAD, WORSE),
        any_entry(5, WELL, BAD),
    )
    images = [(each["repository"], each["change"]) for each in report_in(digest)["images"]]
    assert images == [
        ("team/api-4", "WORSE"),
        ("team/api-5", "NEW"),
        ("team/api-2", "NEW"),
        ("team/api-3", "FAILED"),
        ("team/api-1", "CLEARED"),
    ]
    assert report_in(digest)["severity"] == "CRITICAL"


def test_leaves_out_what_is_what_it_was() -> None:
    again = replace(any_entry(1, BAD, BAD), first_event="an earlier one")
    digest, bucket = composed(again)
    assert (digest.digest, digest.images, digest.deliveries) == ("digest-1", 0, ())
    assert bucket.digests == {}
    assert bucket.unfinished["digest-1"]


FEWER = ImageState({"CRITICAL": 1, "HIGH": 1}, ("CRITICAL", "HIGH"))
ALSO_BETTER = NOTIFY_ON | {Change.BETTER}
ALSO_UNCHANGED = NOTIFY_ON | {Change.UNCHANGED}


@pytest.mark.parametrize(
    ("notify_on", "before", "image_state", "told"),
    [
        (NOTIFY_ON, BAD, FEWER, {}),  # it was worse in between
        (ALSO_BETTER, BAD, FEWER, {"BETTER": 1}),
        (NOTIFY_ON, BAD, WORSE, {"WORSE": 1}),
        (NOTIFY_ON - {Change.WORSE}, BAD, WORSE, {}),  # it was well in between
        (NOTIFY_ON - {Change.CLEARED}, BAD, WELL, {}),
        (ALSO_UNCHANGED, BAD, BAD, {"UNCHANGED": 1}),
        (ALSO_UNCHANGED, FAILED, FAILED, {"UNCHANGED": 1}),
        (ALSO_UNCHANGED, WELL, WELL, {}),
    ],
)
def test_leaves_out_what_several_changes_have_come_to_and_notify_on_leaves_out(
    notify_on: frozenset[Change], before: ImageState, image_state: ImageState, told: dict[str, int]
) -> None:
    entry = replace(any_entry(1, before, image_state), first_event="an earlier one")
    digest, bucket = composed(entry, any_entry(2, WELL, FAILED), notify_on=notify_on)
    assert report_in(digest)["changes"] == {**told, "FAILED": 1}
    left: Any = bucket.unfinished["digest-1"]
    assert len(left["entries"]) == 2


@pytest.mark.parametrize(
    ("image_state", "changes", "reminders"),
    [(FEWER, {"BETTER": 1}, 0), (BAD, {}, 1), (WELL, {}, 0)],
)
def test_a_reminder_is_reported_with_the_present_state_unless_it_is_over(
    image_state: ImageState, changes: dict[str, int], reminders: int
) -> None:
    reminder = any_entry(1, BAD, image_state, is_reminder=True)
    digest, _ = composed(
        replace(reminder, first_event="an earlier one"),
        any_entry(2, WELL, FAILED),
        notify_on=NOTIFY_ON - {Change.CLEARED},
    )
    report = report_in(digest)
    assert report["changes"] == {**changes, "FAILED": 1}
    assert (report["reminders"] or {"count": 0})["count"] == reminders


def test_reports_what_was_asked_for_though_it_has_not_changed() -> None:
    """A reminder, and with NotifyOn UNCHANGED or CLEAN what was put here alone."""
    reminder = replace(any_entry(1, BAD, BAD, is_reminder=True), first_event="an earlier one")
    digest, _ = composed(reminder, any_entry(2, WELL, WELL))
    report = report_in(digest)
    assert (report["changes"], report["reminders"]["count"]) == ({"UNCHANGED": 1}, 1)
    assert {each.about for each in deliveries_of(digest)} == {"Digest: 1 image (1 unchanged)"}


def test_has_nothing_to_forget_where_there_is_no_entry() -> None:
    digest, bucket = composed()
    assert digest == ComposedDigest("DAILY")
    assert bucket.unfinished == {}


def test_writes_the_whole_digest_and_sends_a_part_of_it() -> None:
    digest, bucket = composed(*(any_entry(number) for number in range(500)))
    report = report_in(digest)
    assert (len(report["images"]), report["images_omitted"]) == (20, 480)
    assert report["document"] == "digests/digest-1.json"
    assert len(bucket.digests["digest-1"]["report"]["images"]) == 500
    assert [said for each in deliveries_of(digest) for said in complaints_about(each)] == []


def test_a_digest_of_changes_by_name_leads_with_the_worst_vulnerability() -> None:
    changes = [
        any_change(
            number,
            change=Change.WORSE,
            by_name=FindingsChange(new=(CVE,) if number % 2 else (CVE, OTHER_CVE)),
        )
        for number in range(500)
    ]
    digest, bucket = composed(*changes)
    assert digest.images == 500
    assert {each.about for each in deliveries_of(digest)} == {
        "Digest: 2 new vulnerabilities (1 critical, 1 high) in 500 images"
    }
    report = report_in(digest)
    assert [
        (each["name"], each["images"], each["repositories"], len(each["examples"]))
        for each in report["vulnerabilities"]
    ] == [("CVE-2026-1", 500, 500, 3), ("CVE-2026-2", 250, 250, 3)]
    assert (report["images"], report["images_explained"]) == ([], 500)
    whole = bucket.digests["digest-1"]["report"]
    assert len(whole["images"]) == 500
    assert [len(each["examples"]) for each in whole["vulnerabilities"]] == [500, 250]
    kept: Any = bucket.unfinished["digest-1"]
    assert kept["changes"] == sorted(map(sort_key, changes))
    assert kept["entries"] == []
    assert [said for each in deliveries_of(digest) for said in complaints_about(each)] == []


def test_forgets_what_was_reported_immediately_without_a_message() -> None:
    told = any_change(1, by_name=FindingsChange(new=(CVE,)), is_told=True)
    digest, bucket = composed(told)
    assert (digest.digest, digest.images, digest.deliveries) == ("digest-1", 0, ())
    kept: Any = bucket.unfinished["digest-1"]
    assert kept["changes"] == [sort_key(told)]


def test_takes_up_what_another_execution_has_left_half_done() -> None:
    entries = FakeDigestEntries(any_entry(1))
    left, bucket = composed(entries=entries, name="left")
    entries.kept.append(any_entry(2))
    taken, _ = composed(entries=entries, bucket=bucket, name="next")
    assert (taken.digest, taken.images, taken.is_resumed) == ("left", 1, True)
    assert taken.deliveries == json.loads(json.dumps(bucket.unfinished["left"]))["deliveries"]
    assert (left.messages, left.is_resumed) == (taken.messages, False)


def test_a_retry_finds_its_own_digest() -> None:
    entries = FakeDigestEntries(any_entry(1))
    _, bucket = composed(entries=entries)
    again, _ = composed(entries=entries, bucket=bucket)
    assert (again.digest, again.is_resumed) == ("digest-1", False)


def test_composes_anew_where_the_one_under_way_is_kept_no_more() -> None:
    entries = FakeDigestEntries(any_entry(1))
    entries.begin("DAILY", "long ago", instead_of=None)
    digest, _ = composed(entries=entries)
    assert (digest.digest, entries.begun) == ("digest-1", {"DAILY": "digest-1"})


def test_lets_a_faster_execution_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = FakeDigestEntries(any_entry(1))
    entries.begin("DAILY", "faster", instead_of=None)
    monkeypatch.setattr(entries, "under_way", lambda mode: None)
    with pytest.raises(DigestAlreadyBegun):
        composed(entries=entries)


def test_includes_what_the_digest_after_runs_of_an_earlier_version_has_left() -> None:
    entries = FakeDigestEntries(any_entry(1), left_behind=[any_entry(2)])
    digest, _ = composed(entries=entries)
    assert (digest.mode, digest.images) == ("DAILY", 2)
    assert entries.left_behind == []


def test_takes_up_a_digest_after_a_run_that_an_earlier_version_has_not_finished() -> None:
    entries, bucket = FakeDigestEntries(any_entry(1)), FakeBucket()
    composed(entries=entries, bucket=bucket, name="after-run")
    entries.begun = {"AFTER_RUN": "after-run"}
    digest, _ = composed(entries=entries, bucket=bucket)
    assert (digest.mode, digest.digest, digest.is_resumed) == ("AFTER_RUN", "after-run", True)


def test_answers_the_state_machine_with_deliveries_and_counts_them_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = resources("AWS::Serverless::Function")["ComposeDigestFunction"]["Environment"]
    for name, value in resolved(variables["Variables"]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DIGEST_CHANNELS", "SNS")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "EcrRescan")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "any-stack")
    entries, bucket = FakeDigestEntries(any_entry(1)), FakeBucket()
    monkeypatch.setattr(module, "digest_entries", lambda table: entries)
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    event = json.loads((ROOT / "events/send_digest/compose_digest.json").read_text())
    answer: Any = module.handler(event, any_lambda_context())
    assert (answer["mode"], answer["images"], answer["messages"]) == ("DAILY", 1, 1)
    assert [each["channel"] for each in answer["deliveries"]] == ["SNS"]
    counted = json.loads(capsys.readouterr().out)
    assert (counted["service"], counted["channel"]) == ("any-stack", "SNS")
    assert counted["messages"] == [1]
    resumed: Any = module.handler(event, any_lambda_context())
    assert len(resumed["deliveries"]) == 1
    assert capsys.readouterr().out == ""
