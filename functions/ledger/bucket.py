"""The run bucket: documents of runs and of digests, and those that operators put there.

``runs/<execution name>/`` has the list of a run's repositories, its summary, and the outcome of
every image in ``images/``, and due images that do not fit a state in ``waiting/``.
``digests/<name>.json`` is a whole digest, and ``digests/<name>/resume.json`` what an execution
needs to finish it.
"""

import contextlib
import functools
import gzip
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ledger.errors import LedgerUnavailable
from ledger.run_summaries import SummaryDocument, read_summary, summary_key, summary_texts
from ledger.table import unavailable
from runtime.long_list import json_list
from runtime.messages import Json

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

# The time for a connection also limits the sending of a document, which can have many megabytes.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=10, read_timeout=10
)
_CHUNK = 64 * 1024  # bytes of a list that are read at a time
_NO_ETAG = '"none"'  # no object has it, so that the answer is always the object
_NOT_MODIFIED, _FORBIDDEN = 304, 403
_COMPRESSION = 6  # gzip's own default; 9 takes 10 ms and not 6 for 1,000 images, and saves 5 %


@dataclass(frozen=True)
class StoredDocument:
    """A document that an operator has put into the bucket.

    etag: changes with the content; absent when there is no document.
    content: absent when it is larger than the reader accepts.
    """

    etag: str | None = None
    content: bytes | None = None


class RunBucket:
    """The run bucket. Every method raises LedgerUnavailable when it does not answer."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self.name = name

    def write_repositories(self, run: str, names: Iterable[str]) -> str:
        """Write the list that the Map over repositories reads, and return its key."""
        return self._write_texts(_list_key(run), json_list(map(json.dumps, names)))

    def repositories(self, run: str) -> Iterator[str] | None:
        """Read the list of a run, one name after the other; None when no such run is kept."""
        with unavailable():
            answer = self._get(_list_key(run))
        return _names(answer["Body"]) if answer else None

    def write_summary(
        self, run: str, document: SummaryDocument, lists: Mapping[str, Iterable[str]]
    ) -> str:
        """Write the summary of a run, and return its key.

        lists: the long lists of the document as a whole, their items as JSON.
        """
        return self._write_texts(summary_key(run), summary_texts(document, lists))

    def summary(self, run: str) -> SummaryDocument | None:
        """Read the summary of a run in little memory; None when no such run is kept."""
        with unavailable():
            answer = self._get(summary_key(run))
            if answer is None:
                return None
            with contextlib.closing(answer["Body"]) as body:
                return read_summary(body.iter_lines(_CHUNK))

    def write_image_outcomes(
        self, run: str, repository: str, name: str, lines: Iterable[Json]
    ) -> None:
        """Write the outcomes of the images of one step or batch, one JSON object per line.

        The same lines make the same bytes, so that a repeated step changes nothing. Lines are
        compressed as they come: the whole text is never in memory.
        """
        body = io.BytesIO()
        with gzip.GzipFile(fileobj=body, mode="wb", compresslevel=_COMPRESSION, mtime=0) as text:
            for line in lines:
                text.write(json.dumps(line).encode() + b"\n")
        with unavailable():
            self._client.put_object(
                Bucket=self.name,
                Key=_outcomes_key(run, repository, name),
                Body=body.getvalue(),
                # No Content-Encoding, with which clients save plain text as `….gz`.
                ContentType="application/gzip",
            )

    def write_waiting_images(
        self, run: str, repository: str, step: int, images: Sequence[Json]
    ) -> None:
        """Write the due images of a repository that wait after a step of a run."""
        self._write(_waiting_key(run, repository, step), list(images), indent=None)

    def waiting_images(self, run: str, repository: str, step: int) -> list[Json]:
        """Read what a step has written; raise LedgerUnavailable when it is no longer kept."""
        images = self._read(_waiting_key(run, repository, step))
        if not isinstance(images, list):
            raise LedgerUnavailable(f"{_waiting_key(run, repository, step)} does not exist")
        return images

    def digest_key(self, name: str) -> str:
        """Return the key of a whole digest."""
        return f"digests/{name}.json"

    def write_digest(self, name: str, digest: Json) -> None:
        """Write a whole digest."""
        self._write(self.digest_key(name), digest)

    def write_unfinished_digest(self, name: str, unfinished: Json) -> None:
        """Write what an execution needs to finish a digest."""
        self._write(f"digests/{name}/resume.json", unfinished, indent=None)

    def unfinished_digest(self, name: str) -> Json:
        """Read what an execution needs to finish a digest; None when it is no longer kept.

        Version 0.3.0 had another name for it, which a digest may have that was under way during the
        upgrade.
        """
        return self._read(f"digests/{name}/resume.json") or self._read(f"digests/{name}/told.json")

    def document(self, key: str, *, known: str | None, most: int) -> StoredDocument | None:
        """Read a document of at most `most` bytes, or return None if its ETag is known."""
        with unavailable():
            try:
                answer = self._get(key, known or _NO_ETAG)
            except ClientError as error:
                if _status(error) == _NOT_MODIFIED:
                    return None
                raise
            if answer is None:
                return StoredDocument()
            fits = answer["ContentLength"] <= most
            return StoredDocument(answer["ETag"], answer["Body"].read() if fits else None)

    def _read(self, key: str) -> Json:
        with unavailable():
            answer = self._get(key)
            document: Json = json.loads(answer["Body"].read()) if answer else None
        return document

    def _get(self, key: str, unless: str = _NO_ETAG) -> "GetObjectOutputTypeDef | None":
        """Read an object; None when it does not exist. unless: an ETag that is known.

        S3 hides from a role that may not list the bucket whether an object exists, and answers 403
        in any case. It does not say whether it counts a permission to list one prefix, so the
        object is looked for under its own key then.
        """
        try:
            return self._client.get_object(Bucket=self.name, Key=key, IfNoneMatch=unless)
        except self._client.exceptions.NoSuchKey:
            return None
        except ClientError as error:
            if _status(error) == _FORBIDDEN and self._is_missing(key):
                return None
            raise

    def _is_missing(self, key: str) -> bool:
        """Return whether an object certainly does not exist."""
        try:
            listed = self._client.list_objects_v2(Bucket=self.name, Prefix=key, MaxKeys=1)
        except ClientError:
            return False  # then the first refusal says more than this one
        return all(each["Key"] != key for each in listed.get("Contents", ()))

    def _write_texts(self, key: str, texts: Iterable[str]) -> str:
        """Write a document of any length, which is never in memory as a whole."""
        with tempfile.TemporaryFile() as file:
            for text in texts:
                file.write(text.encode())
            file.seek(0)
            with unavailable():
                self._client.put_object(
                    Bucket=self.name, Key=key, Body=file, ContentType="application/json"
                )
        return key

    def _write(self, key: str, document: Json | list[str], *, indent: int | None = 1) -> str:
        with unavailable():
            self._client.put_object(
                Bucket=self.name,
                Key=key,
                Body=json.dumps(document, indent=indent).encode(),
                ContentType="application/json",
            )
        return key


@functools.cache
def run_bucket(name: str) -> RunBucket:
    """Make the adapter of a bucket, once per container of the function."""
    return RunBucket(boto3.client("s3", config=CLIENT_CONFIG), name)


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _list_key(run: str) -> str:
    return f"runs/{run}/repositories.json"


def _waiting_key(run: str, repository: str, step: int) -> str:
    return f"runs/{run}/waiting/{folder_of(repository)}/step-{step:04}.json"


def _outcomes_key(run: str, repository: str, name: str) -> str:
    return f"runs/{run}/images/{folder_of(repository)}/{name}.ndjson.gz"


def folder_of(repository: str) -> str:
    """Return a name that makes a repository one folder, though its own name has slashes."""
    return hashlib.sha256(repository.encode()).hexdigest()


def _names(body: "StreamingBody") -> Iterator[str]:
    with unavailable(), contextlib.closing(body):
        for line in body.iter_lines(_CHUNK):
            if text := line.strip(b"[], "):
                name: str = json.loads(text)
                yield name
