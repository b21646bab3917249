"""Daily runs in the engine, for weeks: scans end, and their results are recorded."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3

from ledger.image_records import ImageRecords, RecordedScan
from ledger.table import Table
from tests.support.engine import Engine, Execution

DAY = timedelta(days=1)


def records() -> ImageRecords:
    """Return the records of images, in the table of the engine."""
    return ImageRecords(Table(boto3.client("dynamodb"), "LedgerTable"))


def record(event: dict[str, Any]) -> None:
    """Write the result of a scan into the ledger, as NotifyScan does."""
    detail = event["detail"]
    scan = RecordedScan(
        datetime.fromisoformat(event["time"]),
        detail["scan-status"],
        "BASIC",
        detail.get("finding-severity-counts", {}),
    )
    records().note_scan(
        detail["repository-name"], detail["image-digest"], scan, expires_at=4_000_000_000
    )


def daily_runs(
    deployed: Engine, days: int, *, late: Iterator[timedelta] | None = None
) -> Iterator[Execution]:
    """Run once a day, and yield each run when it has ended. late: how late each one begins."""
    deployed.registry.on_event = record
    first = deployed.clock.now()
    for day in range(days):
        begin = first + day * DAY + (next(late) if late else timedelta())
        deployed.clock.move(begin - deployed.clock.now())
        deployed.registry.settle()
        yield deployed.run()


def started_at(deployed: Engine) -> dict[tuple[str, ...], datetime]:
    """Return when the last scan of each image was started, by its tags or its digest."""
    return {
        image.tags or (image.digest,): image.last_scan.started_at
        for repository in deployed.registry.repositories.values()
        for image in repository.images.values()
        if image.last_scan
    }
