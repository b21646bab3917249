"""The document of accepted risks, in a bucket and a table of moto, on a clock of the test."""

import functools
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError

from accepted_risks import document as module
from accepted_risks.document import (
    LOOKED_UP_EVERY,
    AcceptedRisksDocument,
    RisksInForce,
    accepted_risks_document,
)
from accepted_risks.expiry import MOST_KEPT
from accepted_risks.risks import AcceptedRisks
from ledger.bucket import RunBucket
from ledger.risk_records import ExpiryNotices, RiskRecords
from ledger.table import Table
from tests.support.clock import NOW, Clock
from tests.support.template import REGION

GOOD = """\
accepted_risks:
  - vulnerability: CVE-1
    reason: any
    expires: 2027-03-31
    accepted_by: jane
"""
BETTER = GOOD.replace("CVE-1", "CVE-2")
BAD = GOOD.replace("2027-03-31", "soon")
EVENT = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"


class Warnings(list[tuple[str, Any]]):
    """What was warned of."""

    def warning(self, message: str, extra: Any) -> None:
        self.append((message, extra["error"]))


@functools.cache
def clients() -> tuple[Any, Any]:
    """Make clients once for all tests: that takes longer than they do."""
    return boto3.client("s3", region_name=REGION), boto3.client("dynamodb", region_name=REGION)


class Deployment:
    """A bucket, a table, and containers of a function, which begin without a memory."""

    def __init__(self, bucket: str, table: str) -> None:
        self.clock = Clock()
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self._s3, self._dynamodb = clients()
        self._place = bucket, table

    def container(self) -> AcceptedRisksDocument:
        bucket, table = self._place
        return AcceptedRisksDocument(
            RunBucket(self._s3, bucket), RiskRecords(Table(self._dynamodb, table))
        )

    def called(self, model: Any, **_: Any) -> None:
        self.calls.append(model.name)
        if model.service_model.service_name in self.broken:
            raise ConnectTimeoutError(endpoint_url="https://example.org")

    def upload(self, document: str | bytes) -> str:
        answer = self._s3.put_object(
            Bucket="run-bucket",
            Key="accepted-risks.yaml",
            Body=document if isinstance(document, bytes) else document.encode(),
        )
        return str(answer["ETag"])

    def delete(self) -> None:
        self._s3.delete_object(Bucket="run-bucket", Key="accepted-risks.yaml")

    def kept(self, sort_key: str = "in-force") -> dict[str, str] | None:
        item = self._dynamodb.get_item(
            TableName="ledger-table", Key={"pk": {"S": "accepted-risks"}, "sk": {"S": sort_key}}
        ).get("Item")
        return item and {name: next(iter(value.values())) for name, value in item.items()}

    def item(self, sort_key: str) -> Any:
        return self._dynamodb.get_item(
            TableName="ledger-table", Key={"pk": {"S": "accepted-risks"}, "sk": {"S": sort_key}}
        )["Item"]

    def keep(self, text: str) -> None:
        self._dynamodb.put_item(
            TableName="ledger-table",
            Item={
                "pk": {"S": "accepted-risks"},
                "sk": {"S": "in-force"},
                "text": {"S": text},
                "etag": {"S": '"an-older-one"'},
            },
        )

    def seen(self, container: AcceptedRisksDocument) -> RisksInForce:
        """Look once the memory is old enough."""
        self.clock.move(LOOKED_UP_EVERY)
        self.calls.clear()
        return container.in_force(self.clock.now())


@pytest.fixture
def deployment(run_bucket: str, ledger_table: str) -> Iterator[Deployment]:
    made = Deployment(run_bucket, ledger_table)
    for client in clients():
        client.meta.events.register("before-call", made.called)
    yield made
    for client in clients():
        client.meta.events.unregister("before-call", made.called)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> Warnings:
    caught = Warnings()
    monkeypatch.setattr(module, "logger", caught)
    return caught


def names(seen: RisksInForce) -> list[str]:
    return [risk.vulnerability for risk in seen.risks.entries]


def test_accepts_nothing_without_a_document(deployment: Deployment, warnings: Warnings) -> None:
    assert deployment.seen(deployment.container()) == RisksInForce(AcceptedRisks(), None)
    assert warnings == []


def test_puts_a_good_document_in_force_and_keeps_it(
    deployment: Deployment, warnings: Warnings
) -> None:
    etag = deployment.upload(GOOD)
    seen = deployment.seen(deployment.container())
    assert seen == RisksInForce(AcceptedRisks.read(GOOD))
    assert seen.risks.in_force("team/api", date(2027, 3, 31)).by_vulnerability.keys() == {"CVE-1"}
    assert deployment.kept() == {
        "pk": "accepted-risks",
        "sk": "in-force",
        "text": GOOD,
        "etag": etag,
    }
    assert warnings == []


def test_looks_at_most_every_five_minutes(deployment: Deployment) -> None:
    assert timedelta(seconds=300) == LOOKED_UP_EVERY
    container = deployment.container()
    deployment.upload(GOOD)
    assert names(container.in_force(NOW)) == ["CVE-1"]
    deployment.upload(BETTER)
    calls = len(deployment.calls)
    assert names(container.in_force(NOW + timedelta(seconds=299))) == ["CVE-1"]
    assert len(deployment.calls) == calls
    assert names(container.in_force(NOW + timedelta(seconds=300))) == ["CVE-2"]


def test_looks_as_seldom_when_aws_does_not_answer(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.broken = {"s3"}
    container.in_force(NOW)
    container.in_force(NOW + timedelta(seconds=299))
    assert deployment.calls == ["GetObject"]
    assert len(warnings) == 1


def test_reads_a_document_that_is_unchanged_only_once(deployment: Deployment) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    assert names(deployment.seen(container)) == ["CVE-1"]
    assert deployment.calls == ["GetObject", "PutItem"]
    assert names(deployment.seen(container)) == ["CVE-1"]
    assert deployment.calls == ["GetObject"]


def test_keeps_a_document_only_when_it_is_another(deployment: Deployment) -> None:
    deployment.upload(GOOD)
    deployment.seen(deployment.container())
    kept = deployment.kept()
    assert kept is not None
    deployment.keep(BETTER)
    deployment.seen(deployment.container())
    assert deployment.kept() == kept
    assert names(deployment.seen(deployment.container())) == ["CVE-1"]
    assert deployment.kept() == kept


def test_accepts_nothing_once_the_document_is_deleted(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    deployment.seen(container)
    deployment.delete()
    assert deployment.seen(container) == RisksInForce()
    assert deployment.calls == ["GetObject", "DeleteItem"]
    assert deployment.kept() is None
    assert deployment.seen(container) == RisksInForce()
    assert deployment.calls == ["GetObject"]
    assert warnings == []


def test_what_was_in_force_before_a_deletion_stays_forgotten(deployment: Deployment) -> None:
    deployment.upload(GOOD)
    old = deployment.container()
    deployment.seen(old)
    deployment.delete()
    deployment.seen(old)
    deployment.upload(BAD)
    for container in (old, deployment.container()):
        seen = deployment.seen(container)
        assert names(seen) == []
        assert seen.refusal


@pytest.mark.parametrize(
    "document", ["", "accepted_risks:\n", "".join(f"# {line}\n" for line in GOOD.splitlines())]
)
def test_commenting_out_the_last_entry_withdraws_it(
    deployment: Deployment, warnings: Warnings, document: str
) -> None:
    old = deployment.container()
    deployment.upload(GOOD)
    deployment.seen(old)
    deployment.upload(document)
    for container in (old, deployment.container()):
        assert deployment.seen(container) == RisksInForce()
    kept = deployment.kept()
    assert kept is not None
    assert kept["text"] == document
    # Neither does it come back with a document that is refused.
    deployment.upload(BAD)
    assert names(deployment.seen(deployment.container())) == []
    assert warnings == []


def test_a_document_may_come_back(deployment: Deployment) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    deployment.seen(container)
    deployment.delete()
    deployment.seen(container)
    deployment.upload(GOOD)
    assert names(deployment.seen(container)) == ["CVE-1"]
    assert deployment.kept()


def test_the_last_good_document_stays_in_force_beside_a_bad_one(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    deployment.seen(container)
    etag = deployment.upload(BAD)
    seen = deployment.seen(container)
    assert names(seen) == ["CVE-1"]
    assert seen.refusal
    assert seen.refusal.sentence == (
        "accepted-risks.yaml, line 4: expires of entry 1 (CVE-1) must be a day such as "
        "2027-03-31, not 'soon'."
    )
    assert seen.refusal.id == etag.strip('"')
    assert deployment.calls == ["GetObject"]
    assert deployment.seen(container) == seen
    assert deployment.calls == ["GetObject"]
    assert warnings == []


def test_a_container_without_a_memory_takes_the_last_good_document_from_the_ledger(
    deployment: Deployment,
) -> None:
    deployment.upload(GOOD)
    deployment.seen(deployment.container())
    deployment.upload(BAD)
    container = deployment.container()
    seen = deployment.seen(container)
    assert names(seen) == ["CVE-1"]
    assert seen.refusal
    assert deployment.calls == ["GetObject", "GetItem"]
    deployment.upload(BAD + "# still\n")
    again = deployment.seen(container)
    assert names(again) == ["CVE-1"]
    assert again.refusal
    assert again.refusal.id != seen.refusal.id
    assert deployment.calls == ["GetObject"]


@pytest.mark.parametrize("kept", [None, BAD])
def test_accepts_nothing_where_no_good_document_is_known(
    deployment: Deployment, kept: str | None
) -> None:
    if kept:
        deployment.keep(kept)
    deployment.upload(BAD)
    seen = deployment.seen(deployment.container())
    assert names(seen) == []
    assert seen.refusal


def test_a_bad_document_can_be_put_right(deployment: Deployment) -> None:
    container = deployment.container()
    deployment.upload(BAD)
    deployment.seen(container)
    deployment.upload(BETTER)
    assert deployment.seen(container) == RisksInForce(AcceptedRisks.read(BETTER))


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"#" * (256 * 1024 + 1), "accepted-risks.yaml must not be larger than 256 KiB."),
        (GOOD.encode("utf-16"), "accepted-risks.yaml must be a text in UTF-8."),
    ],
)
def test_refuses_what_is_no_document_at_all(
    deployment: Deployment, document: bytes, told: str
) -> None:
    deployment.upload(document)
    refusal = deployment.seen(deployment.container()).refusal
    assert refusal
    assert refusal.sentence == told


def test_keeps_the_largest_document(deployment: Deployment) -> None:
    large = GOOD + "#" * (256 * 1024 - len(GOOD))
    deployment.upload(large)
    assert names(deployment.seen(deployment.container())) == ["CVE-1"]
    kept = deployment.kept()
    assert kept is not None
    assert kept["text"] == large


def test_what_is_remembered_stays_in_force_while_the_bucket_does_not_answer(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    before = deployment.seen(container)
    deployment.upload(BETTER)
    deployment.broken = {"s3"}
    assert deployment.seen(container) == before
    assert deployment.seen(deployment.container()) == RisksInForce()
    assert [message for message, _ in warnings] == ["accepted risks unavailable"] * 2
    assert "example.org" in warnings[0][1]
    deployment.broken = set()
    assert names(deployment.seen(container)) == ["CVE-2"]


def test_a_bucket_that_is_gone_is_no_deleted_document(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    before = deployment.seen(container)
    deployment.delete()
    clients()[0].delete_bucket(Bucket="run-bucket")
    assert deployment.seen(container) == before
    assert "NoSuchBucket" in warnings[0][1]


def test_a_good_document_is_in_force_while_the_ledger_does_not_answer(
    deployment: Deployment, warnings: Warnings
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    deployment.broken = {"dynamodb"}
    assert names(deployment.seen(container)) == ["CVE-1"]
    assert len(warnings) == 1
    deployment.broken = set()
    assert names(deployment.seen(container)) == ["CVE-1"]
    assert deployment.kept()


def test_a_bad_document_is_reported_while_the_ledger_does_not_answer(
    deployment: Deployment, warnings: Warnings
) -> None:
    deployment.keep(GOOD)
    container = deployment.container()
    deployment.upload(BAD)
    deployment.broken = {"dynamodb"}
    seen = deployment.seen(container)
    assert names(seen) == []
    assert seen.refusal
    assert len(warnings) == 1
    deployment.broken = set()
    again = deployment.seen(container)
    assert names(again) == ["CVE-1"]
    assert again.refusal == seen.refusal


def test_forgets_in_the_ledger_once_that_answers_again(
    deployment: Deployment, warnings: Warnings
) -> None:
    deployment.keep(GOOD)
    container = deployment.container()
    deployment.broken = {"dynamodb"}
    assert deployment.seen(container) == RisksInForce()
    assert len(warnings) == 1
    deployment.broken = set()
    assert deployment.seen(container) == RisksInForce()
    assert deployment.kept() is None


@pytest.mark.parametrize("meanwhile", [BETTER, None])
def test_a_change_that_is_taken_back_while_the_ledger_does_not_answer_is_taken_back(
    deployment: Deployment, warnings: Warnings, meanwhile: str | None
) -> None:
    container = deployment.container()
    deployment.upload(GOOD)
    deployment.seen(container)
    if meanwhile:
        deployment.upload(meanwhile)
    else:
        deployment.delete()
    deployment.broken = {"dynamodb"}
    assert names(deployment.seen(container)) == (["CVE-2"] if meanwhile else [])
    deployment.broken = set()
    deployment.upload(GOOD)
    assert names(deployment.seen(container)) == ["CVE-1"]


def test_a_notice_falls_to_one_event_and_to_its_retries(deployment: Deployment) -> None:
    one, other = deployment.container(), deployment.container()
    assert one.claim("refusal#1", event=EVENT, expires_at=1_800_000_000)
    assert one.claim("refusal#1", event=EVENT, expires_at=1_800_000_000)
    assert other.claim("refusal#1", event=EVENT, expires_at=1_800_000_000)
    third = deployment.container()
    assert not third.claim("refusal#1", event="another", expires_at=1_800_000_000)
    calls = len(deployment.calls)
    for container in (other, third):  # which know by now whose it is
        assert not container.claim("refusal#1", event="another", expires_at=1_800_000_000)
    assert len(deployment.calls) == calls
    assert other.claim("refusal#2", event="another", expires_at=1_800_000_000)
    assert deployment.kept("notice#refusal#1") == {
        "pk": "accepted-risks",
        "sk": "notice#refusal#1",
        "event": EVENT,
        "expires_at": "1800000000",
    }


TODAY = NOW.date()  # 14 March 2026
A_DAY = timedelta(days=1)
ENDING = "accepted_risks:\n" + "".join(
    f"  - {{vulnerability: CVE-{number}, reason: any, expires: {on}, accepted_by: jane}}\n"
    for number, on in enumerate(("2026-03-13", "2026-03-20", "2026-03-21", "2026-12-31"))
)
EXPIRED, THIS_WEEK, NEXT_WEEK, LATER = (each.id for each in AcceptedRisks.read(ENDING).entries)


def expiry_notices(
    container: AcceptedRisksDocument, event: str, today: date = TODAY
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    notices = container.expiry_notices(event=event, today=today)
    return notices and (notices.expired, notices.expiring)


def test_notices_of_a_day_fall_to_one_event_and_to_its_retries(deployment: Deployment) -> None:
    deployment.upload(ENDING)
    one, other, third = containers(deployment, 3)
    assert expiry_notices(one, EVENT) == ((EXPIRED,), ())
    assert expiry_notices(one, EVENT) == ((EXPIRED,), ())
    assert expiry_notices(other, EVENT) == ((EXPIRED,), ())
    assert expiry_notices(third, "another") is None
    tomorrow = TODAY + A_DAY
    # What was reported is not reported again; of the week, both that expire in it.
    assert expiry_notices(third, "another", tomorrow) == ((), (THIS_WEEK, NEXT_WEEK))
    assert expiry_notices(one, "a-third", tomorrow) is None
    assert expiry_notices(one, "a-third", tomorrow + 6 * A_DAY) == ((THIS_WEEK,), ())


def containers(deployment: Deployment, number: int) -> list[AcceptedRisksDocument]:
    made = [deployment.container() for _ in range(number)]
    for container in made:
        container.in_force(deployment.clock.now())
    return made


def test_a_container_that_knows_the_notices_of_a_day_asks_no_more(deployment: Deployment) -> None:
    deployment.upload(ENDING)
    one, other = containers(deployment, 2)
    deployment.calls.clear()
    expiry_notices(one, EVENT)
    assert deployment.calls == ["GetItem", "BatchGetItem", "PutItem"]
    deployment.calls.clear()
    for event in ("another", "a-third", "another"):
        assert expiry_notices(other, event) is None
    assert deployment.calls == ["GetItem"]
    deployment.calls.clear()
    # The next day has a warning, and the days after it have nothing.
    for days in (1, 2, 3, 4):
        expiry_notices(other, f"event-{days}", TODAY + days * A_DAY)
    assert deployment.calls == ["GetItem", "PutItem"]


def test_without_entries_the_ledger_is_not_asked(deployment: Deployment) -> None:
    deployment.upload("accepted_risks: []")
    (container,) = containers(deployment, 1)
    deployment.calls.clear()
    assert expiry_notices(container, EVENT) is None
    assert deployment.calls == []


def test_what_0_3_0_has_reported_singly_is_not_reported_again(deployment: Deployment) -> None:
    deployment.upload(ENDING)
    (container,) = containers(deployment, 1)
    container.claim(f"expired-{EXPIRED}", event="of-0.3.0", expires_at=1_800_000_000)
    assert expiry_notices(container, EVENT) == ((), ())
    assert expiry_notices(container, EVENT, TODAY + A_DAY) == ((), (THIS_WEEK, NEXT_WEEK))


@pytest.mark.parametrize("days", [0, 1])  # before there were any notices, and after
def test_of_two_events_at_once_one_has_the_notices(deployment: Deployment, days: int) -> None:
    deployment.upload(ENDING)
    today = TODAY + days * A_DAY
    slow, fast, first = containers(deployment, 3)
    if days:
        expiry_notices(first, EVENT)
    of_fast: list[object] = []

    def be_faster(**_: object) -> None:
        dynamodb.meta.events.unregister("before-call.dynamodb.PutItem", be_faster)
        of_fast.append(expiry_notices(fast, "fast", today))

    dynamodb = clients()[1]
    dynamodb.meta.events.register("before-call.dynamodb.PutItem", be_faster)
    assert expiry_notices(slow, "slow", today) is None
    assert of_fast == [((), (THIS_WEEK, NEXT_WEEK)) if days else ((EXPIRED,), ())]
    assert expiry_notices(slow, "slow", today) is None


def test_the_clock_of_a_container_may_be_behind_at_midnight(deployment: Deployment) -> None:
    deployment.upload(ENDING)
    one, behind = containers(deployment, 2)
    assert expiry_notices(one, EVENT, TODAY + A_DAY)
    assert expiry_notices(behind, "another", TODAY) is None


def test_an_acceptance_that_has_expired_a_year_ago_is_reported_again(
    deployment: Deployment,
) -> None:
    deployment.upload(ENDING)
    (container,) = containers(deployment, 1)
    expiry_notices(container, EVENT)
    everything_else = {THIS_WEEK, NEXT_WEEK, LATER}
    notices = expiry_notices(container, "half", TODAY + 364 * A_DAY)
    assert notices
    assert set(notices[0]) == everything_else
    assert expiry_notices(container, "year", TODAY + 365 * A_DAY) == ((EXPIRED,), ())


def test_no_event_brings_a_notice_while_the_ledger_does_not_answer(
    deployment: Deployment, warnings: Warnings
) -> None:
    deployment.upload(ENDING)
    (container,) = containers(deployment, 1)
    deployment.broken = {"dynamodb"}
    assert expiry_notices(container, EVENT) is None
    assert not container.claim("any", event=EVENT, expires_at=1)
    assert [message for message, _ in warnings] == [
        "notices unavailable",
        "notice not claimed",
    ]
    deployment.broken = set()
    assert expiry_notices(container, EVENT) == ((EXPIRED,), ())


def test_keeps_what_was_in_a_notice_for_a_year_in_one_item(
    deployment: Deployment, ledger_table: str
) -> None:
    entries = "".join(
        f"  - {{vulnerability: CVE-{number}, reason: any, expires: 2026-03-13, accepted_by: j}}\n"
        for number in range(2_000)
    )
    records = RiskRecords(Table(clients()[1], ledger_table))
    earlier = {f"{number:016x}": "2025-06-01" for number in range(2_000)}
    too_old = {"f" * 16: "2025-03-14"}
    last = ExpiryNotices("2026-03-13", "any", reported=earlier | too_old, warned_of=earlier)
    assert records.note_expiry_notices(last, instead_of=None)
    deployment.upload("accepted_risks:\n" + entries)
    (container,) = containers(deployment, 1)
    notices = expiry_notices(container, EVENT)
    assert notices
    assert len(notices[0]) == 2_000
    kept = records.expiry_notices()
    assert kept
    assert kept.reported.keys() >= set(notices[0])
    assert len(kept.reported) == MOST_KEPT
    assert too_old.keys().isdisjoint(kept.reported)
    assert kept.warned_of == earlier
    size = len(json.dumps(deployment.item("expiry-notices")))
    assert size < 400 * 1024


def test_takes_bucket_and_table_of_the_stack(deployment: Deployment) -> None:
    deployment.upload(GOOD)
    document = accepted_risks_document("run-bucket", "ledger-table")
    assert accepted_risks_document("run-bucket", "ledger-table") is document
    assert names(document.in_force(NOW)) == ["CVE-1"]
    assert deployment.kept()
