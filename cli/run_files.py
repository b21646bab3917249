"""The files that runs leave in the run bucket: their summaries, and a line per image."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import batched, groupby

from botocore.exceptions import ClientError

from cli.stack import CONNECTIONS, Stack
from ledger.bucket import RunBucket, folder_of
from ledger.run_summaries import SummaryDocument, summary_key
from rescan_registry.outcomes import Outcome
from runtime.messages import Json, decode

_RUNS = "runs/"
_OF_A_DAY = 48  # summaries, where a count of scans of 24 hours is wanted
# Folders that are read ahead of the one that is returned: they have about 1,000 images each.
_READ_AHEAD = 4 * CONNECTIONS
_MALFORMED = (
    AttributeError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    gzip.BadGzipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ImageLine:
    """What a run found out about an image. What its version did not write is absent.

    age_days: of its last scan. severities: findings of that scan.
    outcome, reason: absent if the run was stopped before it decided.
    """

    repository: str
    image_digest: str
    image_tags: tuple[str, ...] = ()
    last_scan_at: datetime | None = None
    pushed_at: datetime | None = None
    pulled_at: datetime | None = None
    age_days: float | None = None
    severities: dict[str, int] = field(default_factory=dict)
    outcome: str | None = None
    reason: str | None = None


class RunFiles:
    """The runs that the bucket of a stack keeps.

    damaged: the keys of files that could not be read. The other files are read nevertheless, so
    that an answer without them is incomplete.
    """

    def __init__(self, stack: Stack) -> None:
        self.damaged: list[str] = []
        self._name = stack.output("RunBucketName")
        self._client = stack.client("s3")
        self._bucket = RunBucket(self._client, self._name)

    def summaries(self, most: int) -> list[SummaryDocument]:
        """Read the summaries of the runs that ended last, newest first."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            read = pool.map(self.summary, self.ended_runs[:most])
            # Two of one second have no order in the bucket.
            return sorted(filter(None, read), key=lambda each: each.ended_at, reverse=True)

    def newest_whole(self) -> SummaryDocument | None:
        """Read the summary of the newest run over the whole registry, dry runs aside."""
        read = filter(None, map(self.summary, self.ended_runs))
        return next((each for each in read if each.is_whole and not each.dry_run), None)

    def started_since(self, since: datetime) -> int:
        """Count the scans that were started by the runs that have ended since then."""
        runs = [each for each in self.summaries(_OF_A_DAY) if each.ended_at >= since]
        return sum(each.images.outcomes().get(Outcome.STARTED, 0) for each in runs)

    def summary(self, run: str) -> SummaryDocument | None:
        """Read the summary of a run; None when there is none, or none that can be read."""
        try:
            return self._bucket.summary(run)
        except _MALFORMED:
            self.damaged.append(summary_key(run))
            return None

    def images(self, run: str, repository: str | None = None) -> Iterator[ImageLine]:
        """Read the images of a run, or of one of its repositories, each of them once."""
        folder = f"{folder_of(repository)}/" if repository else ""
        keys = self._keys(f"{_RUNS}{run}/images/{folder}")
        folders = (tuple(group) for _, group in groupby(keys, lambda key: key.rpartition("/")[0]))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for some in batched(folders, _READ_AHEAD):
                for lines in pool.map(self._merged, some):
                    yield from lines

    @cached_property
    def ended_runs(self) -> tuple[str, ...]:
        """Name the runs that have a summary, the one that ended last first."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=_RUNS, Delimiter="/"
        )
        runs = [
            each["Prefix"].removeprefix(_RUNS).rstrip("/")
            for page in pages
            for each in page.get("CommonPrefixes", ())
        ]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            ends = zip(runs, pool.map(self._ended_at, runs), strict=True)
            ended = sorted(((at, run) for run, at in ends if at), reverse=True)
        return tuple(run for _, run in ended)

    def _ended_at(self, run: str) -> datetime | None:
        """Return when the summary of a run was written; None if it has none."""
        try:
            head = self._client.head_object(Bucket=self._name, Key=summary_key(run))
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return None
            raise
        written_at: datetime = head["LastModified"]
        return written_at

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=prefix
        )
        for page in pages:
            for each in page.get("Contents", ()):
                yield each["Key"]

    def _merged(self, keys: Iterable[str]) -> list[ImageLine]:
        """Read the files of one repository, and make one line of those of an image.

        A later line knows better; those of batches are later than those of steps.
        """
        merged: dict[tuple[str, str], dict[str, Json]] = {}
        for key in sorted(keys, key=lambda key: ("/batch-" in key, key)):
            for line in self._lines(key):
                known = {name: value for name, value in vars(line).items() if value}
                merged.setdefault((line.repository, line.image_digest), {}).update(known)
        return [ImageLine(**known) for known in merged.values()]  # type: ignore[arg-type]

    def _lines(self, key: str) -> list[ImageLine]:
        body = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        try:
            lines = gzip.decompress(body).splitlines()
            return [decode(ImageLine, json.loads(line)) for line in lines]
        except _MALFORMED:
            self.damaged.append(key)
            return []
