"""Entries of digests, and what puts them into the table."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3

from ledger.digest_entries import DigestEntries, DigestEntry, DigestImage
from ledger.image_records import Standing
from tests.support.clock import NOW

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
WELL = Standing({"CRITICAL": 0, "HIGH": 0})
BAD = Standing({"CRITICAL": 1, "HIGH": 2}, ("CRITICAL", "HIGH"))
WORSE = Standing({"CRITICAL": 3, "HIGH": 2}, ("CRITICAL", "HIGH"))
FAILED = Standing(failed=True)


def any_digest_image(number: int = 1, standing: Standing = BAD, **given: Any) -> DigestImage:
    """Make an image in a digest."""
    image = DigestImage(
        repository=f"team/api-{number}",
        digest=f"sha256:{number:064x}",
        image=f"team/api-{number}:v1",
        link=f"https://console.aws.amazon.com/ecr/any/{number}",
        account="123456789012",
        region="eu-central-1",
        scanned_at=NOW,
        standing=standing,
        event_id=f"event-{number}",
    )
    return replace(image, **given)


def any_entry(
    number: int = 1, before: Standing = WELL, standing: Standing = BAD, **given: Any
) -> DigestEntry:
    """Make an entry that one event has brought."""
    image = any_digest_image(number, standing, **given)
    return DigestEntry(image, before, image.event_id)


def put_entry(
    entries: DigestEntries, mode: str, image: DigestImage, before: Standing = WELL
) -> None:
    """Put an image into a digest; for moto's sake not in a transaction, which copies the table."""
    put: Any = entries.put(mode, image, before, expires_at=EXPIRES_AT)
    boto3.client("dynamodb").update_item(**put["Update"])


def drop_entry(entries: DigestEntries, mode: str, image: DigestImage) -> None:
    """Take an image out of a digest, as ComposeNotification does when it is told at once."""
    boto3.client("dynamodb").transact_write_items(TransactItems=[entries.drop(mode, image)])
