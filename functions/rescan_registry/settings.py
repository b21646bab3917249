"""What the functions of RescanRegistry read from the parameters of the stack."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from ledger.image_records import RetentionDays
from rescan_registry.policy import ImageSelection, RescanPolicy
from rescan_registry.request import LEAST_RESCAN_AFTER, RescanRequest
from runtime.durations import iso
from runtime.settings import AtLeast, Limits, Pattern, Settings, SettingsError

# The state machine ends a run after 6 hours. The last batches take minutes, the summary one.
RUN_TIME_LIMIT = timedelta(hours=5, minutes=40)
_ONE_SCAN_A_DAY = "ECR accepts one basic scan per image in 24 hours"


@dataclass(frozen=True)
class ListRepositoriesSettings(Settings):
    """Settings of ListRepositories, which computes the policy of a run."""

    run_bucket: str
    ledger_table: str
    repository_filter: Pattern
    schedule_interval_seconds: Annotated[int, Limits(1, 999_999_999)]
    rescan_after: Annotated[timedelta, AtLeast(LEAST_RESCAN_AFTER, _ONE_SCAN_A_DAY)]
    unsupported_retry_after: timedelta
    image_selection: ImageSelection
    max_images_per_repository: Annotated[int, Limits(0, 1_000)]
    pulled_within: timedelta | None
    exclude_tag_pattern: Pattern
    max_scans_per_repository: Annotated[int, Limits(1, 20_000)]
    tolerated_failure_percentage: Annotated[int, Limits(0, 100)]
    run_retention_days: Annotated[int, Limits(15, 3_650)]
    image_record_retention_days: RetentionDays

    def __post_init__(self) -> None:
        """Reject a retention that expires records before they are used."""
        longest = max(self.rescan_after, self.unsupported_retry_after)
        if timedelta(days=self.image_record_retention_days) <= longest:
            raise SettingsError(
                "ImageRecordRetentionDays must be longer than RescanAfter and "
                f"UnsupportedRetryAfter, not {self.image_record_retention_days}: that is not "
                f"longer than {iso(longest)}"
            )

    def policy(self, request: RescanRequest, now: datetime) -> RescanPolicy:
        """Return the policy of a run that starts now; its input may set another rescan_after."""
        return RescanPolicy(
            rescan_after=request.rescan_after or self.rescan_after,
            schedule_interval=timedelta(seconds=self.schedule_interval_seconds),
            unsupported_retry_after=self.unsupported_retry_after,
            stop_at=now + RUN_TIME_LIMIT,
            max_scans_per_repository=self.max_scans_per_repository,
            image_selection=self.image_selection,
            max_images_per_repository=self.max_images_per_repository,
            pulled_within=self.pulled_within,
            exclude_tag_pattern=self.exclude_tag_pattern,
            dry_run=request.dry_run,
        )


@dataclass(frozen=True)
class ImageSettings(Settings):
    """Settings of a function that reads and writes what is known of images."""

    run_bucket: str
    ledger_table: str
    image_record_retention_days: RetentionDays


@dataclass(frozen=True)
class FindStaleImagesSettings(ImageSettings):
    """Settings of FindStaleImages."""


@dataclass(frozen=True)
class StartImageScansSettings(ImageSettings):
    """Settings of StartImageScans."""


@dataclass(frozen=True)
class RecordRepositorySettings(Settings):
    """Settings of RecordRepository."""

    ledger_table: str


@dataclass(frozen=True)
class SummarizeRescanSettings(Settings):
    """Settings of SummarizeRescan."""

    run_bucket: str
    ledger_table: str
