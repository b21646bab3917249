"""The ledger table: what every adapter of it has in common."""

import boto3

from ledger.table import Table
from ledger.table import ledger_table as table_adapter


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert table_adapter("ledger-table") is table_adapter("ledger-table")


def test_asks_again_for_keys_that_dynamodb_leaves_out(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    table, keys = Table(client, ledger_table), [("any", str(number)) for number in range(3)]
    for key in keys:
        table.put(key, {"number": int(key[1])})
    asked: list[int] = []

    def leave_out(parsed: dict[str, object], **_: object) -> None:
        """Answer one key per call, as DynamoDB does with large items."""
        answered: list[dict[str, object]] = parsed["Responses"][ledger_table]  # type: ignore[index]
        asked.append(len(answered))
        left = [{name: item[name] for name in ("pk", "sk")} for item in answered[1:]]
        parsed["Responses"] = {ledger_table: answered[:1]}
        parsed["UnprocessedKeys"] = {ledger_table: {"Keys": left}} if left else {}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", leave_out)
    assert sorted(item["number"] for item in table.get_many(keys)) == [0, 1, 2]
    assert asked == [3, 2, 1]


def test_a_reserved_name_needs_no_more_than_a_sign(ledger_table: str) -> None:
    table = Table(boto3.client("dynamodb"), ledger_table)
    assert table.update(("any", "1"), "SET #status = :status", {":status": "FAILED"})
    assert table.put(("any", "1"), {}, when="#status = :status", values={":status": "FAILED"})
    assert not table.delete(("any", "1"), when="attribute_exists(#status)")
    assert table.get(("any", "1")) == {"pk": "any", "sk": "1"}


def test_reads_back_bytes_that_were_put(ledger_table: str) -> None:
    table = Table(boto3.client("dynamodb"), ledger_table)
    table.put(("any", "1"), {"found": b"\x00\xff"})
    assert table.get(("any", "1")) == {"pk": "any", "sk": "1", "found": b"\x00\xff"}


def test_puts_several_items_together_or_none(ledger_table: str) -> None:
    table = Table(boto3.client("dynamodb"), ledger_table)
    first = table.to_put(("any", "1"), {"number": 1}, when="attribute_not_exists(pk)")
    assert table.write_together(first) is None
    reason = table.write_together(first, table.to_put(("any", "2"), {"number": 2}))
    assert reason
    assert "ConditionalCheckFailed" in reason
    assert [item["sk"] for item in table.query("any")] == ["1"]
