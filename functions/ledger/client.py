"""The client of the ledger table, apart from the table because of the time that boto3 takes."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Callers either continue without the ledger or are retried by the state machine, so none of them
# waits for long.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=16,
)


def dynamodb_client() -> "DynamoDBClient":
    """Make the client."""
    return boto3.client("dynamodb", config=CLIENT_CONFIG)
