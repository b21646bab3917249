"""A simulated registry with a ledger that knows it, as the functions leave them: for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from unittest import mock

import boto3

from ledger.bucket import RunBucket
from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.image_baselines import Baselines
from ledger.image_records import Baseline, ImageRecords, ImageState, RecordedScan
from ledger.known_findings import KnownFinding, KnownFindings, NotedChange
from ledger.notified_images import Delivery, NotifiedImages
from ledger.platforms import Platforms
from ledger.run_summaries import ImageCounts
from ledger.table import Table
from local.cloud.moto_internals import S3_CLOCK
from local.registry.registry_contents import (
    Fault,
    Image,
    RegistrySettings,
    Repository,
    digest_of,
)
from local.registry.simulated_registry import SimulatedRegistry
from registry.findings import FindingKey
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

EXPIRES_AT = int((NOW + timedelta(days=180)).timestamp())
DAY = timedelta(days=1)
SINCE = date(2026, 1, 1)  # before the first sight of any finding here

type Named = Mapping[FindingKey, KnownFinding]


class RegistryAndLedger:
    """Images in the registry and in the ledger, in the account that moto keeps."""

    def __init__(self) -> None:
        self.registry = SimulatedRegistry(now=lambda: NOW)
        self.table = Table(boto3.client("dynamodb"), "ledger-table")
        self.bucket = RunBucket(boto3.client("s3"), "run-bucket")
        self.lines: list[dict[str, Any]] = []

    def answer(self, *faults: Fault, **settings: Any) -> None:
        """Let the registry have other settings, and fail as scripted."""
        self.registry = SimulatedRegistry(
            self.registry.repositories.values(),
            RegistrySettings(**settings),
            faults,
            now=lambda: NOW,
        )

    def image(self, repository: str, label: str, **given: Any) -> str:
        """Put an image into the registry, and return its digest."""
        digest = digest_of(repository, label)
        image = Image(digest, NOW - 90 * DAY, tags=(label,))
        repositories = self.registry.repositories
        known = repositories.setdefault(repository, Repository(repository, NOW - 100 * DAY))
        made = replace(image, **given)
        known.images[made.digest] = made
        return made.digest

    def scan(
        self, repository: str, digest: str, *, at: datetime, status: str = "COMPLETE", **given: Any
    ) -> None:
        """Record the last scan of an image."""
        scan = replace(RecordedScan(at, status, "BASIC"), **given)
        records = ImageRecords(self.table)
        records.note_scan(repository, digest, scan, expires_at=EXPIRES_AT)

    def find(
        self,
        repository: str,
        digest: str,
        findings: Named,
        *,
        changed: Sequence[ChangedFinding] = (),
        **given: Any,
    ) -> None:
        """Record the baseline of an image with its findings by name, after its scan."""
        counts: dict[str, int] = {}
        for finding in findings.values():
            if not finding.is_accepted:
                counts[finding.severity] = counts.get(finding.severity, 0) + 1
        state = ImageState(counts, tuple(counts), scan_type="BASIC")
        baseline = Baseline(state, notified_at=NOW, revision=1, notes=())
        noted = NotedChange("event-1", Change.NEW, state, FindingsChange(new=tuple(changed)))
        known = KnownFindings(0, "BASIC", SINCE, findings, changes=(noted,), expires_at=EXPIRES_AT)
        given_known = {name: given.pop(name) for name in ("since", "scan_type") if name in given}
        baselines = Baselines(self.table)
        stored = baselines.to_store(repository, digest, replace(known, **given_known), revision=1)
        baselines.note(
            repository,
            digest,
            replace(baseline, **given),
            seen=None,
            scanned_at=NOW,
            also=(stored,),
        )

    def notify(
        self, repository: str, digest: str, channel: str, at: datetime, revision: int = 1
    ) -> None:
        """Record a delivery about an image."""
        delivery = Delivery(f"message-{revision}", at, revision)
        notified = NotifiedImages(self.table)
        notified.note(repository, digest, channel, delivery, expires_at=EXPIRES_AT)

    def index(self, repository: str, tag: str, children: Mapping[str, str]) -> None:
        """Record the images of an index."""
        Platforms(self.table).record(
            repository, children, tag=tag, pushed_at=NOW - DAY, expires_at=EXPIRES_AT
        )

    def line(self, repository: str, digest: str, outcome: str, reason: str, **given: Any) -> None:
        """Let the next run leave a line about an image."""
        known = {"repository": repository, "image_digest": digest, **given}
        self.lines.append({**known, "outcome": outcome, "reason": reason})

    def run(self, name: str, *, hours_ago: int = 3, **given: Any) -> None:
        """End a run over the whole registry, which leaves the lines noted so far."""
        ended_at = NOW - timedelta(hours=hours_ago)
        summary = any_summary(
            name,
            started_at=ended_at - timedelta(minutes=10),
            ended_at=ended_at,
            repositories=len(self.registry.repositories),
            images=ImageCounts({"FRESH": {"scanned within RescanAfter": len(self.lines)}}),
            freshness=None,
        )
        with mock.patch(S3_CLOCK, return_value=ended_at.replace(tzinfo=None)):
            write_summary(self.bucket, replace(summary, **given))
        by_repository: dict[str, list[Any]] = {}
        for line in self.lines:
            by_repository.setdefault(line["repository"], []).append(line)
        for repository, lines in by_repository.items():
            self.bucket.write_image_outcomes(name, repository, "step-0001", lines)
        self.lines = []
