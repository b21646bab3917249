"""The documents of a digest, in the run bucket under ``digests/``.

``digests/<name>.json`` is the whole digest, for people and machines; ``digests/<name>/told.json``
is what is left to do with it, for whoever goes on.
"""

import functools
import json
from typing import TYPE_CHECKING

import boto3

from runtime import settings
from runtime.messages import Json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class DigestDocuments:
    """The run bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def key_of(self, name: str) -> str:
        """Say where the whole digest is."""
        return f"digests/{name}.json"

    def write(self, name: str, whole: Json) -> None:
        """Write the whole digest."""
        self._write(self.key_of(name), json.dumps(whole, indent=1))

    def write_told(self, name: str, told: Json) -> None:
        """Write what is left to do with a digest."""
        self._write(_told_key(name), json.dumps(told))

    def told(self, name: str) -> Json:
        """Read what is left to do with a digest; none when it is not kept any more."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=_told_key(name))
        except self._client.exceptions.NoSuchKey:
            return None
        told: Json = json.loads(answer["Body"].read())
        return told

    def _write(self, key: str, text: str) -> None:
        self._client.put_object(
            Bucket=self.bucket, Key=key, Body=text.encode(), ContentType="application/json"
        )


@functools.cache
def digest_documents() -> DigestDocuments:
    """Make the adapter of the stack's bucket."""
    return DigestDocuments(boto3.client("s3"), settings.text("RUN_BUCKET"))


def _told_key(name: str) -> str:
    return f"digests/{name}/told.json"
