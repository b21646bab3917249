"""Claims on deliveries and unfinished executions, as the state machine writes them."""

import json
from datetime import timedelta
from typing import Any

import boto3

from ledger.deliveries import DeliveryClaim, DeliveryKey, deliveries
from ledger.image_records import LastDelivery, image_key, image_record, image_records
from ledger.table import Table, attributes, key_attributes
from ledger.unfinished_executions import UnfinishedExecution, unfinished_executions
from tests.support.clock import NOW

DIGEST = f"sha256:{1:064x}"
SLACK = LastDelivery("event-1", "2026-03-14T03:00:01Z")
SNS = LastDelivery("digest-1", "2026-03-14T07:00:01Z")


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


def record(table: str) -> dict[str, LastDelivery]:
    item = Table(boto3.client("dynamodb"), table).get(image_key("team/api", DIGEST))
    return image_record(item).last_deliveries if item else {}


def test_notes_the_last_delivery_of_each_channel_at_the_image(ledger_table: str) -> None:
    images = image_records(ledger_table)
    put(ledger_table, image_key("team/api", DIGEST), last_deliveries={})
    images.note_deliveries("team/api", DIGEST, {"SLACK": SLACK, "SNS": SLACK})
    images.note_deliveries("team/api", DIGEST, {"SNS": SNS})
    assert record(ledger_table) == {"SLACK": SLACK, "SNS": SNS}


def test_notes_it_also_at_a_record_of_0_3_0(ledger_table: str) -> None:
    images = image_records(ledger_table)
    put(ledger_table, image_key("team/api", DIGEST), started_by="run")
    images.note_deliveries("team/api", DIGEST, {"SNS": SNS})
    assert record(ledger_table) == {"SNS": SNS}


def test_does_not_create_the_record_of_an_image_again(ledger_table: str) -> None:
    image_records(ledger_table).note_deliveries("team/api", DIGEST, {"SNS": SNS})
    assert "Item" not in boto3.client("dynamodb").get_item(
        TableName=ledger_table, Key=key_attributes(image_key("team/api", DIGEST))
    )
