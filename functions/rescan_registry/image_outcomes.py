"""The outcomes of the images of one step or batch: for the log, and for the run bucket."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from ledger.bucket import RunBucket
from ledger.errors import LedgerUnavailable
from registry.images import Image, LastScan
from rescan_registry.outcomes import Decision
from runtime.log import logger
from runtime.messages import Json, encode


class ImageOutcomes:
    """What one invocation has found out about images, and what it has decided.

    An image that is due has no outcome yet: a later step or batch has it.
    """

    def __init__(self, run: str, repository: str, now: datetime) -> None:
        self._run = run
        self._repository = repository
        self._now = now
        self._lines: dict[str, dict[str, Json]] = {}

    def note_images(self, images: Iterable[Image]) -> None:
        """Note the images of a page."""
        for image in images:
            line = self._line(image.digest)
            line["image_tags"] = list(image.tags)
            dates = {"pushed_at": image.pushed_at, "pulled_at": image.pulled_at}
            line.update({name: encode(date) for name, date in dates.items() if date})

    def note_scans(self, scans: Mapping[str, LastScan | None]) -> None:
        """Note the last scans of images, by digest."""
        for image_digest, scan in scans.items():
            if scan and scan.completed_at:
                age = (self._now - scan.completed_at) / timedelta(days=1)
                self._line(image_digest).update(
                    last_scan_at=encode(scan.completed_at),
                    age_days=round(age, 1),
                    severities=encode(scan.severities),
                )

    def note(self, decisions: Mapping[str, Decision]) -> None:
        """Note decisions by image digest, and log each at DEBUG."""
        for image_digest, decision in decisions.items():
            self._line(image_digest).update(outcome=decision.outcome.value, reason=decision.reason)
            logger.debug(
                "settled",
                extra={
                    "run": self._run,
                    "repository": self._repository,
                    "image_digest": image_digest,
                    "outcome": decision.outcome.value,
                    "reason": decision.reason,
                },
            )

    def lines(self) -> Iterator[Json]:
        """Return one line per image."""
        for image_digest, known in self._lines.items():
            yield {"repository": self._repository, "image_digest": image_digest, **known}

    def write(self, bucket: RunBucket, name: str) -> None:
        """Write the lines into the run bucket; without it, the run continues with a warning."""
        if not self._lines:
            return
        try:
            bucket.write_image_outcomes(self._run, self._repository, name, self.lines())
        except LedgerUnavailable as error:
            logger.warning(
                "image outcomes not written",
                extra={
                    "run": self._run,
                    "repository": self._repository,
                    "object": name,
                    "problem": str(error),
                },
            )

    def _line(self, image_digest: str) -> dict[str, Json]:
        return self._lines.setdefault(image_digest, {})
