"""SendDigest, the real definition and the real handlers: what is told in one message, and when."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange
from ledger.errors import LedgerUnavailable
from ledger.image_records import ImageState, image_records
from notify_scan.webhooks.client import WebhookRefused
from reporting.channels.delivery import Channel
from tests.support.cases import case
from tests.support.clock import Clock
from tests.support.digests import (
    BAD,
    EXPIRES_AT,
    WELL,
    WORSE,
    any_change,
    any_digest_image,
    fill,
    put_change,
    put_entry,
)
from tests.support.engine import Engine, Execution, Fault
from tests.support.receivers import ALL_CHANNELS
from tests.support.template import template
from tests.workflow.conftest import Deploy

REGISTRY: dict[str, Any] = {"repositories": []}
ALL_DAILY = {**ALL_CHANNELS, "DigestChannels": "SNS,CHATBOT,SLACK,TEAMS,WEBHOOK,EVENTBRIDGE"}
SHIPPED_DIGESTS = {
    name: template()["Parameters"][name]["Default"] for name in ("DigestChannels", "ImmediateFrom")
}
DIGEST_CHANNELS = set(Channel) - {Channel.PAGERDUTY}
WEBHOOK_DAILY = {
    "NotificationTopicState": "DISABLED",
    "WebhookSecretArn": "WEBHOOK-secret",
    "DigestChannels": "WEBHOOK",
    "IncludeFindings": "false",
}
_events = count(1)


def scanned(deployed: Engine, number: int, counts: Mapping[str, int]) -> None:
    """Let a scan of an image end, a minute after the one before."""
    event = next(_events)
    deployed.notify(
        {
            "id": f"event-{event}",
            "detail-type": "ECR Image Scan",
            "source": "aws.ecr",
            "account": "123456789012",
            "time": f"2026-03-14T{3 + event // 60:02}:{event % 60:02}:00Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": {
                "scan-status": "COMPLETE",
                "repository-name": "team/api",
                "image-digest": f"sha256:{number:064x}",
                "image-tags": [f"v{number}"],
                "finding-severity-counts": dict(counts),
            },
        }
    )


@pytest.fixture(autouse=True)
def _first_event_of_the_day() -> None:
    global _events  # noqa: PLW0603 # times must rise within a test
    _events = count(1)


def digests(deployed: Engine) -> list[Any]:
    """Read the reports of all digests that the webhook got."""
    reports = [each["report"] for each in deployed.receivers.of(Channel.WEBHOOK)]
    return [report for report in reports if report["kind"] == "digest"]


def told(deployed: Engine) -> list[dict[str, tuple[str, dict[str, int]]]]:
    """Say for every digest what it tells of which image."""
    return [
        {each["image"]: (each["change"], each["difference"]) for each in report["images"]}
        for report in digests(deployed)
    ]


def put(deployed: Engine, *numbers: int) -> None:
    for number in numbers:
        put_change(deployed.entries, any_change(number))


def left(deployed: Engine, mode: str = "DAILY") -> int:
    entries = deployed.entries
    return len(list(entries.changes_of(mode))) + len(list(entries.entries_of(mode)))


def any_named(name: str, severity: str) -> ChangedFinding:
    return ChangedFinding(name, "openssl", severity, version="3.0.11-1", score=7.5)


def failing(times: int, error: Exception) -> Fault:
    errors = [error] * times

    def fault(_: dict[str, Any]) -> None:
        if errors:
            raise errors.pop()

    return fault


def assert_sent(execution: Execution) -> None:
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.states[-1] == "DigestSent"


def test_sends_every_channel_one_message(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_DAILY)
    put(deployed, *range(12))
    execution = deployed.send_digest(name="digest-1")
    assert_sent(execution)
    got = Counter(each.channel for each in deployed.receivers.received)
    assert got == Counter(DIGEST_CHANNELS)
    (report,) = digests(deployed)
    assert (report["changes"], len(report["images"])) == ({"NEW": 12}, 12)
    whole = deployed.document(report["document"])
    assert report["document"] == "digests/digest-1.json"
    assert whole["report"]["images"] == report["images"]
    assert left(deployed) == 0
    assert deployed.undelivered() == []
    assert execution.output == {
        "mode": "DAILY",
        "digest": "digest-1",
        "images": 12,
        "messages": 6,
        "is_resumed": False,
        "removed": 12,
    }


def test_leaves_channels_without_digests_alone(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **{**ALL_DAILY, "DigestChannels": "SNS,TEAMS"})
    put(deployed, 1)
    deployed.send_digest()
    assert {each.channel for each in deployed.receivers.received} == {Channel.SNS, Channel.TEAMS}


def test_sends_what_the_digest_after_runs_of_an_earlier_version_has_left(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    put_entry("DAILY", any_digest_image(1))
    for number in (1, 2):
        put_entry("AFTER_RUN", any_digest_image(number))
    assert_sent(deployed.send_digest())
    (report,) = digests(deployed)
    assert report["changes"] == {"NEW": 2}
    assert (left(deployed), left(deployed, "AFTER_RUN")) == (0, 0)
    assert deployed.send_digest().states[-1] == "NothingToSend"


def test_a_digest_without_entries_ends_at_once(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, DigestChannels="SNS")
    assert deployed.send_digest().states == [
        *("RestartUnfinished", "IsAnythingRestarted"),
        *("ComposeDigest", "IsAnythingToSend", "NothingToSend"),
    ]
    assert deployed.waits == []


def test_an_image_that_changed_twice_is_listed_with_the_net_difference(
    deploy: Deploy,
) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    scanned(deployed, 1, {"HIGH": 1})
    deployed.send_digest()
    scanned(deployed, 1, {"HIGH": 3})
    scanned(deployed, 1, {"HIGH": 6})
    deployed.send_digest()
    assert told(deployed) == [
        {"team/api:v1": ("NEW", {})},
        {"team/api:v1": ("WORSE", {"HIGH": 5})},
    ]


def test_an_image_that_is_what_it_was_is_removed_and_not_reported(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    scanned(deployed, 1, {"HIGH": 1})
    scanned(deployed, 1, {})
    assert left(deployed) == 2
    execution = deployed.send_digest()
    assert execution.states[-3:] == ["ForgetDigest", "IsMoreToSend", "NothingToSend"]
    assert (execution.output or {})["removed"] == 2
    assert (told(deployed), left(deployed)) == ([], 0)
    scanned(deployed, 1, {"HIGH": 1})
    deployed.send_digest()
    assert told(deployed) == [{"team/api:v1": ("NEW", {})}]


@pytest.mark.parametrize(
    ("notify_on", "is_told"), [("NEW,WORSE", False), ("NEW,WORSE,BETTER", True)]
)
def test_an_image_that_was_worse_for_a_while_is_reported_as_notify_on_says(
    deploy: Deploy, notify_on: str, is_told: bool
) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY, NotifyOn=notify_on)
    scanned(deployed, 1, {"HIGH": 5})
    deployed.send_digest()
    for high in (7, 3):
        scanned(deployed, 1, {"HIGH": high})
    deployed.send_digest()
    better = {"team/api:v1": ("BETTER", {"HIGH": -2})}
    assert told(deployed)[1:] == [better] * is_told
    assert left(deployed) == 0
    scanned(deployed, 1, {"HIGH": 4})
    deployed.send_digest()
    assert told(deployed)[-1] == {"team/api:v1": ("WORSE", {"HIGH": 1})}


def test_forgets_what_no_channel_is_left_for(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_CHANNELS)
    put(deployed, 1)
    assert deployed.send_digest().states[-1] == "NothingToSend"
    assert left(deployed) == 0
    assert deployed.notifications() == []


@pytest.mark.parametrize("fails", ["ComposeDigest", "StartNotifyScan"])
def test_a_digest_that_fails_before_it_is_sent_leaves_everything_to_the_next(
    deploy: Deploy, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    put(deployed, 1, 2)
    if fails == "ComposeDigest":
        deployed.faults[fails] = failing(10, LedgerUnavailable("no table today"))
        failed = deployed.send_digest(name="failed")
    else:
        with deployed.refusing_to_start():
            failed = deployed.send_digest(name="failed")
    assert (failed.status, failed.states[-1]) == ("FAILED", fails)
    assert (told(deployed), left(deployed)) == ([], 2)

    put(deployed, 3)
    assert_sent(deployed.send_digest(name="next"))
    assert {image for digest in told(deployed) for image in digest} == {
        f"team/api-{number}:v1" for number in (1, 2, 3)
    }
    assert Counter(image for digest in told(deployed) for image in digest).most_common(1)[0][1] == 1
    assert left(deployed) == 0


def test_a_digest_that_could_not_be_removed_is_not_sent_again(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    scanned(deployed, 1, {"HIGH": 1})
    deployed.faults["ForgetDigest"] = failing(10, LedgerUnavailable("no table today"))
    assert deployed.send_digest(name="failed").states[-1] == "ForgetDigest"
    assert told(deployed) == [{"team/api:v1": ("NEW", {})}]

    # It has gone back to what it was before the digest: a difference to what people were told.
    scanned(deployed, 1, {})
    execution = deployed.send_digest(name="next")
    assert_sent(execution)
    assert execution.states.count("ComposeDigest") == 2
    assert told(deployed)[1:] == [{"team/api:v1": ("CLEARED", {"HIGH": -1})}]
    assert left(deployed) == 0


def test_what_changes_while_a_digest_is_sent_is_in_the_next_one_alone(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    scanned(deployed, 1, {"HIGH": 1})
    scanned(deployed, 2, {"HIGH": 1})

    def meanwhile(_: dict[str, Any]) -> None:
        deployed.faults.clear()
        scanned(deployed, 2, {"HIGH": 4})
        scanned(deployed, 3, {"LOW": 1})

    deployed.faults["ForgetDigest"] = meanwhile
    assert_sent(deployed.send_digest())
    assert_sent(deployed.send_digest())
    assert deployed.send_digest().states[-1] == "NothingToSend"
    assert told(deployed) == [
        {"team/api:v1": ("NEW", {}), "team/api:v2": ("NEW", {})},
        {"team/api:v2": ("WORSE", {"HIGH": 3}), "team/api:v3": ("NEW", {})},
    ]


@pytest.mark.parametrize("state", ["ComposeDigest", "ForgetDigest"])
def test_two_concurrent_executions_send_a_digest_once(deploy: Deploy, state: str) -> None:
    """The second comes while the first composes, and while it forgets."""
    deployed = deploy(REGISTRY, **ALL_DAILY)
    put(deployed, 1, 2)
    second: list[Execution] = []

    def meanwhile(_: dict[str, Any]) -> None:
        deployed.faults.clear()
        second.append(deployed.send_digest(name="second"))

    deployed.faults[state] = meanwhile
    first = deployed.send_digest(name="first")
    assert [first.status, second[0].status] == ["SUCCEEDED"] * 2
    got = Counter(each.channel for each in deployed.receivers.received)
    assert got == Counter(DIGEST_CHANNELS)
    assert deployed.undelivered() == []
    assert (left(deployed), deployed.entries.under_way("DAILY")) == (0, None)


def test_composes_anew_where_the_digest_under_way_is_kept_no_more(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    put(deployed, 1)
    deployed.entries.begin("DAILY", "long-ago", instead_of=None)
    assert_sent(deployed.send_digest())
    assert (len(told(deployed)), left(deployed)) == (1, 0)


def test_a_channel_that_does_not_take_the_digest_finds_it_in_the_queue(deploy: Deploy) -> None:
    deployed = deploy(REGISTRY, **ALL_DAILY)
    deployed.receivers.trouble = lambda channel: (
        WebhookRefused("404") if channel is Channel.SLACK else None
    )
    put(deployed, 1)
    assert_sent(deployed.send_digest())
    (kept,) = deployed.undelivered()
    assert (kept["delivery"]["channel"], kept["delivery"]["about"]) == (
        "SLACK",
        "Digest: 1 image changed (1 new)",
    )
    assert left(deployed) == 0


def whole(deployed: Engine, digest: Any) -> Any:
    """Read the whole digest of which a channel got a part."""
    return deployed.document(digest["document"])["report"]


def test_names_what_several_scans_amount_to_and_not_what_was_reported_immediately(
    deploy: Deploy,
) -> None:
    deployed = deploy(REGISTRY, **WEBHOOK_DAILY)
    new, gone = any_named("CVE-2026-1", "CRITICAL"), any_named("CVE-2026-2", "HIGH")
    told, old = any_named("CVE-2026-3", "CRITICAL"), any_named("CVE-2026-4", "LOW")
    for number in range(3):
        for minutes, by_name, is_told in (
            (0, FindingsChange(new=(new, gone)), False),
            (1, FindingsChange(new=(told,)), True),
            (2, FindingsChange(gone=(gone, old)), False),
        ):
            change = any_change(
                number, BAD, WORSE, minutes=minutes, by_name=by_name, is_told=is_told
            )
            put_change(deployed.entries, change)
    assert_sent(deployed.send_digest())
    (report,) = digests(deployed)
    assert [(each["name"], each["images"]) for each in report["vulnerabilities"]] == [
        ("CVE-2026-1", 3)
    ]
    assert [(each["name"], each["images"]) for each in report["fixed"]] == [("CVE-2026-4", 3)]
    assert left(deployed) == 0


def test_case_03_the_worst_image_is_first_though_it_has_not_just_become_bad(
    deploy: Deploy,
) -> None:
    """From 1 to 50 critical findings, behind 40 new images with one each."""
    first, *others, last = case("03-digest-worst-first.json", of="notify")["events"]
    clock = Clock(datetime(2026, 3, 21, 4, tzinfo=UTC))
    deployed = deploy(REGISTRY, clock=clock, **WEBHOOK_DAILY, ImmediateFrom="NEVER")
    deployed.notify(first)
    deployed.send_digest()
    for event in (*others, last):
        deployed.notify(event)
    deployed.send_digest()
    _, second = digests(deployed)
    assert second["changes"] == {"NEW": 40, "WORSE": 1}
    worst = second["images"][0]
    assert (worst["image"], worst["severities"]) == ("zz/payments:prod", {"CRITICAL": 50})
    assert len(whole(deployed, second)["images"]) == 41


def test_case_04_the_first_day_is_one_message_per_channel(deploy: Deploy) -> None:
    """The pattern of the case ten times: images that a run has scanned for the first time."""
    events = case("04-first-day.json", of="notify")["events"]
    clock = Clock(datetime(2026, 3, 21, 4, tzinfo=UTC))
    deployed = deploy(REGISTRY, clock=clock, **{**ALL_CHANNELS, **SHIPPED_DIGESTS})
    records = image_records("LedgerTable")
    for number in range(60):
        event = json.loads(json.dumps(events[number % len(events)]))
        digest = f"sha256:{number:064x}"
        event |= {"id": f"event-{number}", "region": "eu-west-1"}
        event["detail"] |= {"image-digest": digest, "image-tags": [f"v{number}"]}
        repository, at = event["detail"]["repository-name"], datetime.fromisoformat(event["time"])
        records.note_started(
            repository, digest, run="run-1", at=at - timedelta(minutes=5), expires_at=EXPIRES_AT
        )
        deployed.notify(event)
    machines = {Channel.WEBHOOK, Channel.EVENTBRIDGE}
    before = Counter(each.channel for each in deployed.receivers.received)
    assert before == dict.fromkeys(machines, 60)  # one message per scan, and no incident
    assert_sent(deployed.send_digest())
    got = Counter(each.channel for each in deployed.receivers.received) - before
    assert got == Counter(DIGEST_CHANNELS - machines)
    assert {each["text"] for each in deployed.receivers.of(Channel.SLACK)} == {
        "Baseline: 60 images above a threshold, 20 of them with critical vulnerabilities"
    }


def named(number: int) -> DigestChange:
    """Make a change by name: a vulnerability of all images, one of many, and several of each."""
    own = [any_named(f"CVE-2026-{number * 10 + each:05}", "HIGH") for each in range(8)]
    shared = any_named("CVE-2026-1", "CRITICAL"), any_named(f"CVE-2025-{number % 40}", "HIGH")
    by_name = FindingsChange(new=(*shared, *own), gone=(any_named("CVE-2024-1", "LOW"),))
    return any_change(number, BAD, WORSE, change=Change.WORSE, by_name=by_name)


def first_sight(number: int) -> DigestChange:
    change = named(number)
    return replace(change, before=ImageState(), change=Change.NEW, is_first_sight=True)


def reminder(number: int) -> DigestChange:
    own = [any_named(f"CVE-2026-{number * 20 + each:05}", "CRITICAL") for each in range(19)]
    still_open = [
        replace(each, first_seen="2026-01-31") for each in (*own, any_named("any", "HIGH"))
    ]
    given = {"is_reminder": True, "still_open": tuple(still_open)}
    return any_change(number, BAD, BAD, change=Change.UNCHANGED, **given)


def by_number(number: int) -> DigestChange:
    before, image_state, change = (
        (WELL, BAD, Change.NEW),
        (BAD, WORSE, Change.WORSE),
        (BAD, WELL, Change.CLEARED),
    )[number % 3]
    return any_change(number, before, image_state, change=change)


@pytest.mark.slow
@pytest.mark.timeout(600)  # each notes 3,000 images for six channels
@pytest.mark.parametrize(
    ("made", "title"),
    [
        (named, "Digest: 24,041 new vulnerabilities (1 critical, 24,040 high) in 3,000 images"),
        (
            first_sight,
            "Baseline: 3,000 images above a threshold, 3,000 of them with critical vulnerabilities",
        ),
        pytest.param(
            reminder,
            "Reminder: 3,000 images are still above a threshold",
            marks=pytest.mark.scale,
        ),
        pytest.param(
            by_number,
            "Digest: 3,000 images changed (1,000 new, 1,000 worse, 1,000 cleared)",
            marks=pytest.mark.scale,
        ),
    ],
)
def test_thousands_of_images_are_one_message_a_channel(
    deploy: Deploy, made: Callable[[int], DigestChange], title: str
) -> None:
    deployed = deploy(REGISTRY, **ALL_DAILY)
    fill(deployed.entries, map(made, range(3_000)))
    execution = deployed.send_digest()
    assert_sent(execution)
    got = Counter(each.channel for each in deployed.receivers.received)
    assert got == Counter(DIGEST_CHANNELS)
    (content,) = deployed.receivers.of(Channel.WEBHOOK)
    assert content["title"] == title
    report = whole(deployed, content["report"])
    groups = [each for each in (report["baseline"], report["reminders"]) if each]
    assert len(report["images"]) + sum(len(group["images"]) for group in groups) == 3_000
    assert left(deployed) == 0
    notified = [deployed.wait(each) for each in deployed.notifications()]
    assert max(each.largest_payload() for each in (execution, *notified)) < 128 * 1024
    assert len(execution.events) == 30
