"""What came of each repository of a run: records in the ledger table.

partition key ``run#<execution name>``, sort key ``repository#<name>``. The state machine writes
failures itself (RecordFailure), so the names of the attributes are shared with its definition.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from runtime import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class RecordStatus(StrEnum):
    """How the work on a repository ended."""

    FINISHED = "FINISHED"
    GONE = "GONE"  # deleted since it was listed
    FAILED = "FAILED"


@dataclass(frozen=True)
class RunRecord:
    """One repository in one run.

    images: counted by outcome and reason.
    results_missing, results_found: scans that a run has started and whose result did not arrive,
        and those of them whose result ECR has told after all.
    error, cause: of a failure, as Step Functions reports them.
    """

    run: str
    repository: str
    status: RecordStatus
    started_at: datetime
    ended_at: datetime
    images: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    results_missing: int = 0
    results_found: int = 0
    error: str | None = None
    cause: str | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left of this repository to rerun."""
        return self.status is not RecordStatus.FAILED

    def problem(self) -> str:
        """Say what went wrong, in one line: the message inside a Lambda's cause, or all of it."""
        cause = self.cause or ""
        try:
            message = json.loads(cause)["errorMessage"]
        except (ValueError, TypeError, KeyError):
            message = cause
        return f"{self.error}: {' '.join(str(message).split())}"[:500]


class RunRecords:
    """The run records of the ledger table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, record: RunRecord, *, expires_at: int) -> None:
        """Write the record of a repository over what an earlier attempt left.

        expires_at: seconds since 1970, when DynamoDB may delete it.
        """
        item = {
            "pk": f"run#{record.run}",
            "sk": f"repository#{record.repository}",
            "status": record.status,
            "started_at": record.started_at.isoformat(),
            "ended_at": record.ended_at.isoformat(),
            "images": record.images,
            "results_missing": record.results_missing,
            "results_found": record.results_found,
            "error": record.error,
            "cause": record.cause,
            "expires_at": expires_at,
        }
        serialize = TypeSerializer().serialize
        self._client.put_item(
            TableName=self._table,
            Item={name: serialize(value) for name, value in item.items() if value is not None},
        )

    def of(self, run: str) -> Iterator[RunRecord]:
        """Read the records of a run, in the order of repository names."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :run",
            ExpressionAttributeValues={":run": {"S": f"run#{run}"}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from (_record(item) for item in page["Items"])


@functools.cache
def run_records() -> RunRecords:
    """Make the adapter of the stack's table."""
    return RunRecords(boto3.client("dynamodb"), settings.text("LEDGER_TABLE"))


def _record(item: Mapping[str, Any]) -> RunRecord:
    deserialize = TypeDeserializer().deserialize
    values = {name: deserialize(value) for name, value in item.items()}
    return RunRecord(
        run=values["pk"].removeprefix("run#"),
        repository=values["sk"].removeprefix("repository#"),
        status=RecordStatus(values["status"]),
        started_at=datetime.fromisoformat(values["started_at"]),
        ended_at=datetime.fromisoformat(values["ended_at"]),
        images={
            outcome: {reason: int(images) for reason, images in reasons.items()}
            for outcome, reasons in values.get("images", {}).items()
        },
        results_missing=int(values.get("results_missing", 0)),
        results_found=int(values.get("results_found", 0)),
        error=values.get("error"),
        cause=values.get("cause"),
    )
