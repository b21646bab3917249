"""The documents of a run, in the run bucket under ``runs/<execution name>/``."""

import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import boto3

from runtime import settings
from runtime.messages import Json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class RunDocuments:
    """The run bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write_repositories(self, run: str, names: Sequence[str]) -> str:
        """Write the list that the Map over repositories reads, and tell its key."""
        return self._write(f"runs/{run}/repositories.json", list(names))

    def repositories(self, run: str) -> list[str] | None:
        """Read the list of a run; none when no such run is kept."""
        try:
            response = self._client.get_object(
                Bucket=self._bucket, Key=f"runs/{run}/repositories.json"
            )
        except self._client.exceptions.NoSuchKey:
            return None
        names: list[str] = json.loads(response["Body"].read())
        return names

    def write_summary(self, run: str, summary: Json) -> str:
        """Write what came of a run, and tell its key."""
        return self._write(f"runs/{run}/summary.json", summary)

    def _write(self, key: str, document: Json | list[str]) -> str:
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=json.dumps(document, indent=1).encode(),
            ContentType="application/json",
        )
        return key


@functools.cache
def run_documents() -> RunDocuments:
    """Make the adapter of the stack's bucket."""
    return RunDocuments(boto3.client("s3"), settings.text("RUN_BUCKET"))
