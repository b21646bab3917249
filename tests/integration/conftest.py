"""An AWS account in memory, with what the template declares for a run."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from pytest_socket import enable_socket, socket_allow_hosts

from accepted_risks.document import accepted_risks_document
from ledger.bucket import run_bucket as bucket_adapter
from ledger.table import ledger_table as table_adapter
from local.receivers.inbox import Inbox
from own_events.event_bus import event_bus
from registry.ecr import ecr_registry
from tests.support.template import REGION, resources


@pytest.fixture
def loopback() -> None:
    """Let this machine be reached; all others stay cut off."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)


@pytest.fixture
def inbox(loopback: None) -> Iterator[Inbox]:
    """Start the receivers of the local cloud."""
    with Inbox() as inbox:
        yield inbox


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let functions make their clients in an empty account."""
    factories = (
        accepted_risks_document,
        bucket_adapter,
        ecr_registry,
        event_bus,
        table_adapter,
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
