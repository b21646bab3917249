"""An AWS account in memory, with what the template declares for a run."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from accepted_risks.document import accepted_risks_document
from ledger.digest_documents import digest_documents
from ledger.digest_entries import digest_entries
from ledger.image_records import image_records
from ledger.run_documents import run_documents
from ledger.run_records import run_records
from registry.ecr import ecr_registry
from rescan_registry.event_bus import event_bus
from tests.support.template import REGION, resources


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let functions make their clients in an empty account."""
    factories = (
        accepted_risks_document,
        digest_documents,
        digest_entries,
        ecr_registry,
        event_bus,
        image_records,
        run_documents,
        run_records,
    )
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("RUN_BUCKET", "run-bucket")
    monkeypatch.setenv("LEDGER_TABLE", "ledger-table")
    for factory in factories:
        factory.cache_clear()
    with mock_aws():
        yield
    for factory in factories:
        factory.cache_clear()


@pytest.fixture
def ledger_table(account: None) -> str:
    """Make the table as the template declares it."""
    declared = resources("AWS::DynamoDB::Table")["LedgerTable"]
    boto3.client("dynamodb").create_table(
        TableName="ledger-table",
        **{name: declared[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema")},
    )
    return "ledger-table"


@pytest.fixture
def run_bucket(account: None) -> str:
    """Make an empty bucket."""
    boto3.client("s3").create_bucket(
        Bucket="run-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return "run-bucket"
