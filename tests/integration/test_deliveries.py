"""Claims on deliveries and unfinished executions, as the state machine writes them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from ledger.deliveries import DeliveryClaim, DeliveryKey, deliveries
from ledger.image_baselines import baselines
from ledger.notified_images import (
    SLOTS,
    ChannelDeliveries,
    Delivery,
    NotifiedImage,
    notified_image,
    notified_images,
    notified_key,
)
from ledger.table import Table, attributes, key_attributes
from ledger.unfinished_executions import UnfinishedExecution, unfinished_executions
from tests.support.clock import NOW

DIGEST = f"sha256:{1:064x}"
EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())


def put(table: str, key: tuple[str, str], **item: Any) -> None:
    written = {**key_attributes(key), **attributes(item)}
    boto3.client("dynamodb").put_item(TableName=table, Item=written)


def test_reads_the_claims_and_their_marks(ledger_table: str) -> None:
    put(ledger_table, ("delivery#m", "channel#SNS"), claimed_at="1", delivered_at="2", attempts=1)
    put(ledger_table, ("delivery#m", "channel#SLACK"), claimed_at="1", kept_at="3")
    put(ledger_table, ("delivery#m", "channel#TEAMS"), claimed_by="0.3.0", expires_at=1)
    keys = [DeliveryKey("m", name) for name in ("SNS", "SLACK", "TEAMS", "WEBHOOK")]
    claims = deliveries(ledger_table).claims(keys)
    assert claims == {
        keys[0]: DeliveryClaim("1", delivered_at="2"),
        keys[1]: DeliveryClaim("1", kept_at="3"),
        keys[2]: DeliveryClaim(),
    }
    assert all(claim.is_settled for claim in claims.values())
    assert not DeliveryClaim("1").is_settled


def test_reads_executions_that_cannot_be_in_progress(ledger_table: str) -> None:
    def note(name: str, minutes: float, **more: Any) -> None:
        at = (NOW - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
        put(ledger_table, ("unfinished", f"execution#{name}"), started_at=at, **more)

    event = {"id": "event-1"}
    note("old", 12, input=json.dumps(event))
    note("composed", 13, deliveries=json.dumps([{"channel": "SNS"}]))
    note("young", 11.9, input=json.dumps(event))
    kept = unfinished_executions(ledger_table)
    assert sorted(kept.ended_early(NOW), key=lambda each: each.name) == [
        UnfinishedExecution(
            "composed", NOW - timedelta(minutes=13), deliveries=[{"channel": "SNS"}]
        ),
        UnfinishedExecution("old", NOW - timedelta(minutes=12), event=event),
    ]
    kept.forget("old")
    kept.forget("old")
    assert [each.name for each in kept.ended_early(NOW)] == ["composed"]


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"started_at": "yesterday"},
        {"started_at": "2026-03-01T00:00:00"},  # without a time zone
        {"started_at": "2026-03-01T00:00:00+00:00", "input": "{"},
        {"started_at": 7},
    ],
)
def test_an_execution_that_cannot_be_read_hides_no_other(
    ledger_table: str, damaged: dict[str, Any]
) -> None:
    """SendDigest begins with them: it would fail for ever."""
    put(ledger_table, ("unfinished", "execution#a"), **damaged)
    at = (NOW - timedelta(hours=1)).isoformat()
    put(ledger_table, ("unfinished", "execution#b"), started_at=at, input="{}")
    kept = unfinished_executions(ledger_table)
    assert [each.name for each in kept.ended_early(NOW)] == ["b"]
    assert kept.unreadable == ["a"]


def notified(table: str) -> NotifiedImage | None:
    item = Table(boto3.client("dynamodb"), table).get(notified_key("team/api", DIGEST))
    return notified_image(item) if item else None


def test_notes_the_first_delivery_and_those_of_the_last_revisions(ledger_table: str) -> None:
    images, sent = notified_images(ledger_table), Delivery("event-1", NOW, 1)

    def note(channel: str, delivery: Delivery) -> None:
        images.note("team/api", DIGEST, channel, delivery, expires_at=EXPIRES_AT)

    note("SLACK", sent)
    for revision in range(1, SLOTS + 3):
        note("SNS", replace(sent, message_id=f"event-{revision}", revision=revision))
    kept = notified(ledger_table)
    assert kept
    assert kept.channels["SLACK"] == ChannelDeliveries(sent, (sent,))
    assert kept.channels["SNS"].first == sent
    assert {each.revision for each in kept.channels["SNS"].recent} == {*range(3, SLOTS + 3)}


def test_a_delivery_of_the_same_revision_or_an_older_one_changes_nothing(ledger_table: str) -> None:
    images = notified_images(ledger_table)
    for revision, hours in ((2 + SLOTS, 0), (2 + SLOTS, 1), (2, 2)):
        sent = Delivery("event-1", NOW + timedelta(hours=hours), revision)
        images.note("team/api", DIGEST, "SLACK", sent, expires_at=EXPIRES_AT + hours)
    sent = Delivery("event-1", NOW, 2 + SLOTS)
    kept = NotifiedImage(DIGEST, {"SLACK": ChannelDeliveries(sent, (sent,))})
    assert notified(ledger_table) == kept
    item = Table(boto3.client("dynamodb"), ledger_table).get(notified_key("team/api", DIGEST))
    assert item
    assert item["expires_at"] == EXPIRES_AT


def test_it_is_kept_for_longer_but_never_made(ledger_table: str) -> None:
    images, known = notified_images(ledger_table), baselines(ledger_table)
    known.keep_notified("team/api", DIGEST, expires_at=EXPIRES_AT + 7)
    assert notified(ledger_table) is None
    sent = Delivery("event-1", NOW, 1)
    images.note("team/api", DIGEST, "SLACK", sent, expires_at=EXPIRES_AT)
    known.keep_notified("team/api", DIGEST, expires_at=EXPIRES_AT + 7)
    item = Table(boto3.client("dynamodb"), ledger_table).get(notified_key("team/api", DIGEST))
    assert item
    assert item["expires_at"] == EXPIRES_AT + 7
