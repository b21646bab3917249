"""Record which images a multi-platform image consists of, so that reports name them by release."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.platforms import Platforms, platforms
from notify_scan.events.images import pushed_index
from notify_scan.settings import RecordPlatformsSettings
from registry.ecr import EcrRegistry, ecr_registry
from registry.errors import ImageNotFound, RepositoryNotFound
from runtime import clock
from runtime.entrypoint import entrypoint


@dataclass(frozen=True)
class PushEvent:
    """The input of RecordPlatforms: an ECR Image Action event of the push of an index."""

    time: object
    detail: object


@dataclass(frozen=True)
class RecordedPlatforms:
    """The output of RecordPlatforms, for the log. is_gone: the index no longer exists."""

    repository: str
    image_digest: str
    tag: str | None
    platforms: int
    is_gone: bool


def record_platforms(
    event: PushEvent, registry: EcrRegistry, known: Platforms, *, kept_for: timedelta, now: datetime
) -> RecordedPlatforms:
    """Ask ECR for the index, and record the images that it lists."""
    pushed = pushed_index(event.time, event.detail, now)
    children: dict[str, str] = {}
    is_gone = False
    try:
        children = registry.platforms(pushed.repository, pushed.image_digest)
    except (ImageNotFound, RepositoryNotFound):
        is_gone = True
    else:
        known.record(
            pushed.repository,
            children,
            tag=pushed.tag,
            pushed_at=pushed.pushed_at,
            expires_at=int((now + kept_for).timestamp()),
        )
    return RecordedPlatforms(
        pushed.repository, pushed.image_digest, pushed.tag, len(children), is_gone
    )


@entrypoint(PushEvent)
def handler(event: PushEvent) -> RecordedPlatforms:
    """Run as RecordPlatforms, when an index is pushed."""
    settings = RecordPlatformsSettings.load()
    known = platforms(settings.ledger_table)
    kept_for = timedelta(days=settings.image_record_retention_days)
    return record_platforms(event, ecr_registry(), known, kept_for=kept_for, now=clock.now())
