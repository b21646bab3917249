"""The run records in the table that the template declares."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from ledger.errors import LedgerUnavailable
from ledger.run_records import Example, RecordStatus, RunRecord, RunRecords, run_records
from ledger.table import Table
from tests.support.builders import any_record
from tests.support.clock import NOW
from tests.support.definition import states
from tests.support.template import resources

EXPIRES_AT = int((NOW + timedelta(days=30)).timestamp())
LAMBDA_CAUSE = '{"errorMessage": "Rate exceeded", "errorType": "EcrThrottled"}'


@pytest.fixture
def records(ledger_table: str) -> RunRecords:
    return run_records("ledger-table")


def items(table: str = "ledger-table") -> list[dict[str, Any]]:
    return boto3.client("dynamodb").scan(TableName=table)["Items"]


@pytest.mark.parametrize(
    "record",
    [
        any_record("team/api", images={"STARTED": {"accepted": 2}, "FRESH": {"young": 998}}),
        any_record("team/app", results_missing=3, results_found=2),
        any_record("team/gone", status=RecordStatus.GONE),
        any_record("team/late", status=RecordStatus.DEFERRED),
        any_record("team/web", status=RecordStatus.FAILED, error="EcrThrottled", cause="any"),
        any_record(
            "team/xml",
            status=RecordStatus.FAILED,
            error="ImageScansFailed",
            cause="any",
            examples={"AccessDenied": Example("sha256:5e33", "StartImageScan: no")},
        ),
    ],
    ids=lambda record: record.repository,
)
def test_reads_back_what_it_wrote(records: RunRecords, record: RunRecord) -> None:
    records.put(record, expires_at=EXPIRES_AT)
    assert list(records.for_run("run-1")) == [record]


def test_writes_keys_and_an_expiry_as_the_template_declares_them(records: RunRecords) -> None:
    records.put(any_record("team/api"), expires_at=EXPIRES_AT)
    (item,) = items()
    assert (item["pk"], item["sk"]) == ({"S": "run#run-1"}, {"S": "repository#team/api"})
    expiry = resources("AWS::DynamoDB::Table")["LedgerTable"]["TimeToLiveSpecification"]
    assert item[expiry["AttributeName"]] == {"N": str(EXPIRES_AT)}
    assert "error" not in item


def test_writes_over_what_an_earlier_attempt_left(records: RunRecords) -> None:
    failed = any_record("team/api", status=RecordStatus.FAILED, error="any", cause="any")
    records.put(failed, expires_at=EXPIRES_AT)
    records.put(any_record("team/api"), expires_at=EXPIRES_AT)
    assert list(records.for_run("run-1")) == [any_record("team/api")]


def test_reads_the_records_of_one_run_by_repository_name(records: RunRecords) -> None:
    for run, repository in [("run-1", "b"), ("run-10", "c"), ("run-1", "a"), ("run-", "d")]:
        records.put(any_record(repository, run=run), expires_at=EXPIRES_AT)
    assert [record.repository for record in records.for_run("run-1")] == ["a", "b"]
    assert list(records.for_run("run-2")) == []


def test_reads_more_records_than_fit_one_page(ledger_table: str) -> None:
    client = boto3.client("dynamodb")
    queries: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.dynamodb.Query", lambda params, **_: queries.append(params)
    )
    records = RunRecords(Table(client, ledger_table))
    names = [f"team/{n:03}" for n in range(75)]
    for name in names:  # 1.5 MB; DynamoDB answers 1 MB at a time
        records.put(
            any_record(name, status=RecordStatus.FAILED, error="any", cause="x" * 20_000),
            expires_at=EXPIRES_AT,
        )
    assert [record.repository for record in records.for_run("run-1")] == names
    assert len(queries) == 2
    assert all(query["ConsistentRead"] for query in queries)


def record_failure(
    table: str, repository: str, *, error: str = "EcrThrottled", cause: str = LAMBDA_CAUSE
) -> None:
    """Update the table as the state RecordFailure does."""
    (state,) = (state for state in states() if state.name == "RecordFailure")
    asked = state.body["Parameters"]
    values = {
        ":error": error,
        ":cause": cause,
        ":started_at": "2026-03-14T02:55:00.123Z",
        ":ended_at": "2026-03-14T03:00:00.456Z",
        ":expires_at": str(EXPIRES_AT),
    }
    boto3.client("dynamodb").update_item(
        TableName=table,
        Key={"pk": {"S": "run#run-1"}, "sk": {"S": f"repository#{repository}"}},
        UpdateExpression=asked["UpdateExpression"],
        ExpressionAttributeNames=asked["ExpressionAttributeNames"],
        ExpressionAttributeValues={
            name: {kind.removesuffix(".$"): values.get(name, value)}
            for name, typed in asked["ExpressionAttributeValues"].items()
            for kind, value in typed.items()
        },
    )


def test_reads_the_failure_that_the_state_machine_records(
    records: RunRecords, ledger_table: str
) -> None:
    record_failure(ledger_table, "team/api")
    (record,) = records.for_run("run-1")
    assert record == RunRecord(
        run="run-1",
        repository="team/api",
        status=RecordStatus.FAILED,
        started_at=datetime(2026, 3, 14, 2, 55, 0, 123_000, tzinfo=UTC),
        ended_at=datetime(2026, 3, 14, 3, 0, 0, 456_000, tzinfo=UTC),
        error="EcrThrottled",
        cause=LAMBDA_CAUSE,
    )
    assert record.problem() == "EcrThrottled: Rate exceeded"
    assert not record.is_done


def test_keeps_the_counts_of_a_repository_that_then_failed(
    records: RunRecords, ledger_table: str
) -> None:
    counted = {"FAILED": {"AccessDenied": 1}, "STARTED": {"accepted": 7}}
    records.put(any_record("team/api", images=counted), expires_at=EXPIRES_AT)
    record_failure(ledger_table, "team/api", error="ImageScansFailed", cause="any")
    (record,) = records.for_run("run-1")
    assert record.status is RecordStatus.FAILED
    assert record.images == counted


def test_keeps_the_examples_of_a_repository_that_then_failed(
    records: RunRecords, ledger_table: str
) -> None:
    examples = {"AccessDenied": Example("sha256:5e33", "StartImageScan: no")}
    failed = any_record("team/api", status=RecordStatus.FAILED, examples=examples)
    records.put(failed, expires_at=EXPIRES_AT)
    record_failure(ledger_table, "team/api", error="ImageScansFailed", cause="1 of 2 images")
    (record,) = records.for_run("run-1")
    assert record.examples == examples
    assert record.problem() == (
        "ImageScansFailed: 1 of 2 images; AccessDenied, for example, on sha256:5e33: "
        "StartImageScan: no"
    )


def test_a_table_that_does_not_exist_is_unavailable(account: None) -> None:
    records = run_records("ledger-table")
    with pytest.raises(LedgerUnavailable, match="ResourceNotFoundException"):
        records.put(any_record("team/api"), expires_at=EXPIRES_AT)
    with pytest.raises(LedgerUnavailable, match="ResourceNotFoundException"):
        list(records.for_run("run-1"))
