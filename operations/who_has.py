"""`make who-has CVE=…`: list the images that have a vulnerability, by the last scan of each.

Reads the whole ledger table with the credentials of the operator, and does not call ECR or Amazon
Inspector.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table as Lines
from rich.text import Text

from ledger.affected_images import AffectedFinding, AffectedImage, AffectedImages, affected_images
from ledger.errors import LedgerUnavailable
from ledger.table import Table
from operations.stack import StackNotFoundError, outputs_of, parameter_of
from registry.findings import severity_rank
from reporting.reports import ScanReport, ScanType
from reporting.text import visible
from runtime import clock, durations

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TITLES = ("severity", "image", "package", "first seen", "notified", "remarks")


def is_live(image: AffectedImage, rescan_after: timedelta, now: datetime) -> bool:
    """Return whether an image is known to exist: scanned lately, or monitored by Inspector."""
    if image.scan_type == "ENHANCED":
        return image.is_monitored
    return image.scanned_at is not None and now - image.scanned_at <= 2 * rescan_after


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 if the table could be read."""
    options = _options().parse_args(arguments)
    console, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        cloudformation = boto3.client("cloudformation")
        name = outputs_of(options.stack, cloudformation, "LedgerTableName")["LedgerTableName"]
        rescan_after = durations.parse(parameter_of(options.stack, cloudformation, "RescanAfter"))
        dynamodb: DynamoDBClient = boto3.client("dynamodb")
        affected = affected_images(Table(dynamodb, name), options.vulnerability)
    except (StackNotFoundError, LedgerUnavailable, BotoCoreError, ClientError) as error:
        complaints.print(Text(visible(str(error)), "red"), soft_wrap=True)
        return 1
    _show(affected, options.vulnerability, rescan_after, console)
    for image in affected.unreadable:
        problem = f"The findings of {visible(image)} cannot be read."
        complaints.print(Text(problem, "yellow"), soft_wrap=True)
    return 0


def _show(
    affected: AffectedImages, vulnerability: str, rescan_after: timedelta, console: Console
) -> None:
    now = clock.now()
    live = [each for each in affected.images if is_live(each, rescan_after, now)]
    others = [each for each in affected.images if not is_live(each, rescan_after, now)]
    if live:
        console.print(_lines(live))
    if others:
        console.print("\nNot scanned lately, perhaps deleted:")
        console.print(_lines(others))
    repositories = len({each.repository for each in live})
    console.print(
        Text(
            f"{visible(vulnerability)} is in {_number(live, 'image')} of "
            f"{_number(range(repositories), 'repository', 'repositories')}"
            f"{f', and in {len(others):,} not scanned lately' if others else ''}. "
            f"{affected.searched:,} searched, with {affected.read_units:,.1f} read request units."
        ),
        soft_wrap=True,
    )


def _lines(images: Iterable[AffectedImage]) -> Lines:
    lines = Lines(*TITLES, box=None, pad_edge=False)
    rows = [(image, finding) for image in images for finding in image.findings]
    for image, finding in sorted(rows, key=_worst_first):
        lines.add_row(*(Text(visible(cell)) for cell in _cells(image, finding)))
    return lines


def _cells(image: AffectedImage, finding: AffectedFinding) -> tuple[str, ...]:
    seen = f"{'by ' if finding.is_seen_later else ''}{finding.first_seen}"
    return (
        finding.severity,
        image_name(image),
        f"{finding.package} {finding.version}".strip(),
        seen,
        str(image.notified_at.date()) if image.notified_at else "",
        ", ".join(_remarks(image, finding)),
    )


def image_name(image: AffectedImage) -> str:
    """Return the name of an image as messages have it, and how many other tags it has."""
    more = f" +{len(image.tags) - 1}" if len(image.tags) > 1 else ""
    return f"{_named(image)}{more}"


def _named(image: AffectedImage) -> str:
    """Return the name of an image: the rules are those of a report on it."""
    report = ScanReport(
        account="",
        region="",
        repository=image.repository,
        scan_type=ScanType(image.scan_type or ScanType.BASIC),
        status="",
        scanned_at=image.scanned_at or clock.now(),
        link="",
        image_digest=image.image_digest,
        tags=image.tags,
        platform=image.platform,
    )
    return report.image


def _remarks(image: AffectedImage, finding: AffectedFinding) -> Iterable[str]:
    if finding.is_accepted:
        yield "accepted"
    if image.has_incident:
        yield "incident open"
    if not image.is_monitored:
        yield "not monitored by Inspector"
    if image.scanned_at is None:
        yield "last scan unknown"


def _worst_first(row: tuple[AffectedImage, AffectedFinding]) -> tuple[int, str, str, str]:
    image, finding = row
    return severity_rank(finding.severity), image.repository, image_name(image), finding.package


def _number(things: Sequence[object], one: str, several: str = "") -> str:
    return f"{len(things):,} {one if len(things) == 1 else several or one + 's'}"


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make who-has",
        usage="make who-has CVE=NAME [ARGS='--stack NAME']",
        description="List the images that have a vulnerability, by the last scan of each. Uses the "
        "AWS credentials and the Region of your environment, or of ~/.aws/config.",
    )
    parser.add_argument("vulnerability", help="such as CVE-2026-31337, in any case")
    parser.add_argument(
        "--stack", default="ecr-rescan", help="name of the stack (default: ecr-rescan)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
