"""The run bucket: documents of runs and of digests."""

import gzip
import hashlib
import io
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from ledger import bucket as module
from ledger.bucket import RunBucket, StoredDocument
from ledger.errors import LedgerUnavailable
from ledger.run_records import RecordStatus
from ledger.run_summaries import ImageCounts, SummaryDocument, read_summary, summary_texts
from own_events.rescan_finished import Problem
from rescan_registry.run_summary import summary_of
from runtime.messages import Json, encode
from tests.support.builders import any_facts, any_record

ANY_SUMMARY = summary_of(any_facts(), ["team/api"], [])


@pytest.fixture
def bucket(run_bucket: str) -> RunBucket:
    return module.run_bucket(run_bucket)


def kept(key: str) -> Any:
    return boto3.client("s3").get_object(Bucket="run-bucket", Key=key)


def keep(key: str, body: bytes) -> str:
    answer = boto3.client("s3").put_object(Bucket="run-bucket", Key=key, Body=body)
    return str(answer["ETag"])


def test_reads_back_the_list_that_it_wrote(bucket: RunBucket) -> None:
    names = [f"team/{n}" for n in range(3_000)]
    bucket.write_repositories("run-1", names)
    assert list(bucket.repositories("run-1") or []) == names


def test_writes_the_list_where_the_map_reads_it(bucket: RunBucket) -> None:
    key = bucket.write_repositories("run-1", ("team/api", "team/web"))
    assert key == "runs/run-1/repositories.json"
    written = kept(key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == ["team/api", "team/web"]


def test_keeps_runs_apart(bucket: RunBucket) -> None:
    bucket.write_repositories("run-1", ["team/api"])
    bucket.write_repositories("run-2", ["team/web"])
    assert list(bucket.repositories("run-1") or []) == ["team/api"]
    assert bucket.repositories("run-") is None


def test_writes_the_summary_beside_the_list(bucket: RunBucket) -> None:
    summary = summary_of(any_facts(), ["team/api", "team/web"], [])
    key = bucket.write_summary("run-1", summary.document(), summary.lists())
    assert key == "runs/run-1/summary.json"
    written = kept(key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == encode(summary.document())


@pytest.mark.parametrize("repositories", [0, 1, 9, 10, 11, 12_345])
def test_reads_the_start_of_a_summary_as_it_was_written(
    bucket: RunBucket, repositories: int
) -> None:
    """Longer than a piece that is read at a time, and with every kind of bracket in its texts."""
    names = [f"team/{number:05}" for number in range(repositories)]
    records = [
        any_record(name, status=RecordStatus.FAILED, error="AccessDenied", cause='no ]}, {"a": [')
        if number % 2
        else any_record(name, status=RecordStatus.DEFERRED)
        for number, name in enumerate(names)
    ]
    summary = summary_of(any_facts(moves_the_beginning=True), names, records)
    bucket.write_summary("run-1", summary.document(), summary.lists())
    assert bucket.summary("run-1") == summary.document()


def test_reads_no_summary_of_a_run_that_is_not_kept(bucket: RunBucket) -> None:
    assert bucket.summary("run-1") is None


@pytest.mark.parametrize("problems", [0, 1, 10, 25])
def test_reads_the_summary_of_version_0_3_0(bucket: RunBucket, problems: int) -> None:
    """It wrote each problem on four lines, before the input of the rerun."""
    written = {
        "run": "run-1",
        "status": "INCOMPLETE",
        "dry_run": False,
        "started_at": "2026-03-14T02:00:00+00:00",
        "ended_at": "2026-03-14T03:00:00+00:00",
        "repositories": 48,
        "repositories_gone": 1,
        "images": {"counts": {"STARTED": {"accepted": 3}}},
        "results_missing": 2,
        "results_found": 1,
        "problems": [
            {"repository": f"team/{number}", "problem": "AccessDenied: no }"}
            for number in range(problems)
        ],
        "rerun": {"rerun_of": "run-1"},
    }
    keep("runs/run-1/summary.json", json.dumps(written, indent=1).encode())
    assert bucket.summary("run-1") == SummaryDocument(
        run="run-1",
        status="INCOMPLETE",
        dry_run=False,
        started_at=datetime(2026, 3, 14, 2, tzinfo=UTC),
        ended_at=datetime(2026, 3, 14, 3, tzinfo=UTC),
        repositories=48,
        repositories_gone=1,
        repositories_not_done=problems,
        images=ImageCounts({"STARTED": {"accepted": 3}}),
        results_missing=2,
        results_found=1,
        rerun={"rerun_of": "run-1"},
        problems=tuple(
            Problem(f"team/{number}", "AccessDenied: no }") for number in range(min(problems, 10))
        ),
    )


def test_a_summary_of_many_megabytes_takes_little_memory(bucket: RunBucket) -> None:
    names = (f"team/{number:06}" for number in range(100_000))
    summary = summary_of(any_facts(), names, [])
    texts = "".join(summary_texts(summary.document(), summary.lists())).encode()
    assert len(texts) > 7_000_000
    lines = io.BytesIO(texts)
    tracemalloc.start()
    try:
        assert read_summary(lines) == summary.document()
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_reads_the_list_of_version_0_3_0(bucket: RunBucket) -> None:
    keep("runs/run-1/repositories.json", json.dumps(["team/api", "team/web"], indent=1).encode())
    assert list(bucket.repositories("run-1") or []) == ["team/api", "team/web"]


class BrokenBody:
    """A list whose connection breaks after the first name."""

    def __init__(self) -> None:
        self.closed = False

    def iter_lines(self, size: int) -> Iterator[bytes]:
        yield b' "team/api",'
        raise ReadTimeoutError(endpoint_url="any")

    def close(self) -> None:
        self.closed = True


def test_a_list_that_breaks_off_is_unavailable(
    bucket: RunBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write_repositories("run-1", ["team/api", "team/web"])
    body = BrokenBody()
    monkeypatch.setattr(bucket._client, "get_object", lambda **_: {"Body": body})
    names = bucket.repositories("run-1")
    assert names
    assert next(names) == "team/api"
    with pytest.raises(LedgerUnavailable):
        next(names)
    assert body.closed


STARTED: Json = {
    "repository": "team/api",
    "image_digest": "sha256:aa",
    "image_tags": ["v1", "Ünïcode"],
    "outcome": "STARTED",
    "reason": "accepted",
    "last_scan_at": "2026-01-01T00:00:00+00:00",
    "age_days": 42,
}
FAILED: Json = {"image_digest": "sha256:bb", "outcome": "FAILED", "reason": "a \ud800\n line"}


def outcomes_key(run: str, repository: str, name: str) -> str:
    folder = hashlib.sha256(repository.encode()).hexdigest()
    return f"runs/{run}/images/{folder}/{name}.ndjson.gz"


def outcomes(key: str) -> list[Json]:
    text = gzip.decompress(kept(key)["Body"].read()).decode()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_writes_one_line_per_image_outcome(bucket: RunBucket) -> None:
    bucket.write_image_outcomes("run-1", "team/api", "step-0001", iter([STARTED, FAILED]))
    key = outcomes_key("run-1", "team/api", "step-0001")
    assert outcomes(key) == [STARTED, FAILED]
    assert kept(key)["ContentType"] == "application/gzip"
    assert "ContentEncoding" not in kept(key)


def test_keeps_image_outcomes_of_repositories_and_steps_apart(bucket: RunBucket) -> None:
    places = [
        ("run-1", "team/api", "step-0001"),
        ("run-1", "team/api", "batch-0001"),
        ("run-1", "team", "step-0001"),
        ("run-2", "team/api", "step-0001"),
    ]
    for n, place in enumerate(places):
        bucket.write_image_outcomes(*place, [n])
    assert [outcomes(outcomes_key(*place)) for place in places] == [[0], [1], [2], [3]]


def test_writes_image_outcomes_in_the_same_bytes_at_any_time(
    bucket: RunBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(at: float) -> bytes:
        monkeypatch.setattr(time, "time", lambda: at)
        bucket.write_image_outcomes("run-1", "team/api", "step-0001", [STARTED, FAILED])
        monkeypatch.undo()
        body = kept(outcomes_key("run-1", "team/api", "step-0001"))["Body"].read()
        return bytes(body)

    assert written(1_000_000_000) == written(1_600_000_000)


def test_compresses_image_outcomes_as_they_come(bucket: RunBucket) -> None:
    line = {"reason": "x" * 10_000}

    def lines() -> Iterator[Json]:
        for _ in range(2_000):
            yield line

    bucket.write_image_outcomes("run-1", "team/api", "step-0000", [line])  # warm up
    tracemalloc.start()
    try:
        bucket.write_image_outcomes("run-1", "team/api", "step-0001", lines())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # of 20 MB
    assert len(outcomes(outcomes_key("run-1", "team/api", "step-0001"))) == 2_000


def waiting_key(run: str, repository: str, step: int) -> str:
    folder = hashlib.sha256(repository.encode()).hexdigest()
    return f"runs/{run}/waiting/{folder}/step-{step:04}.json"


def test_reads_back_the_images_that_wait(bucket: RunBucket) -> None:
    images: list[Json] = [
        {"image_digest": f"sha256:{n:064x}", "since": None} for n in range(20_000)
    ]
    bucket.write_waiting_images("run-1", "team/api", 7, images)
    assert bucket.waiting_images("run-1", "team/api", 7) == images
    written = kept(waiting_key("run-1", "team/api", 7))
    assert written["ContentType"] == "application/json"
    assert b"\n" not in written["Body"].read()


def test_keeps_waiting_images_of_repositories_and_steps_apart(bucket: RunBucket) -> None:
    places = [("run-1", "team/api", 1), ("run-1", "team/api", 2), ("run-1", "team", 1)]
    for n, place in enumerate(places):
        bucket.write_waiting_images(*place, [n])
    assert [bucket.waiting_images(*place) for place in places] == [[0], [1], [2]]


@pytest.mark.parametrize("document", [None, b"{}"])
def test_is_unavailable_when_the_images_that_wait_are_not_there(
    bucket: RunBucket, document: bytes | None
) -> None:
    """Deleted by hand, for example: a repository must not end as if nothing were due."""
    if document:
        keep(waiting_key("run-1", "team/api", 1), document)
    with pytest.raises(LedgerUnavailable, match=r"step-0001\.json does not exist"):
        bucket.waiting_images("run-1", "team/api", 1)


def test_writes_the_whole_digest_where_it_says(bucket: RunBucket) -> None:
    bucket.write_digest("digest-1", {"images": 2})
    key = bucket.digest_key("digest-1")
    assert key == "digests/digest-1.json"
    written = kept(key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == {"images": 2}


def test_reads_back_what_finishes_a_digest(bucket: RunBucket) -> None:
    bucket.write_unfinished_digest("digest-1", {"entries": [1, 2]})
    assert bucket.unfinished_digest("digest-1") == {"entries": [1, 2]}
    assert bucket.unfinished_digest("digest") is None


def test_reads_what_version_0_3_0_left_of_a_digest(bucket: RunBucket) -> None:
    keep("digests/digest-1/told.json", b'{"entries": [1]}')
    assert bucket.unfinished_digest("digest-1") == {"entries": [1]}
    bucket.write_unfinished_digest("digest-1", {"entries": [2]})
    assert bucket.unfinished_digest("digest-1") == {"entries": [2]}


def test_reads_a_document_of_the_operator_until_its_etag_is_known(bucket: RunBucket) -> None:
    assert bucket.document("any.yaml", known=None, most=5) == StoredDocument()
    etag = keep("any.yaml", b"12345")
    assert bucket.document("any.yaml", known=None, most=5) == StoredDocument(etag, b"12345")
    assert bucket.document("any.yaml", known=etag, most=5) is None
    other = keep("any.yaml", b"123456")
    assert bucket.document("any.yaml", known=etag, most=5) == StoredDocument(other, None)
    boto3.client("s3").delete_object(Bucket="run-bucket", Key="any.yaml")
    assert bucket.document("any.yaml", known=other, most=5) == StoredDocument()


def test_a_bucket_that_does_not_exist_is_unavailable(account: None) -> None:
    bucket = module.run_bucket("run-bucket")
    for call in (
        lambda: bucket.repositories("run-1"),
        lambda: bucket.summary("run-1"),
        lambda: bucket.write_summary("run-1", ANY_SUMMARY.document(), ANY_SUMMARY.lists()),
        lambda: bucket.write_image_outcomes("run-1", "team/api", "step-0001", []),
        lambda: bucket.write_waiting_images("run-1", "team/api", 1, []),
        lambda: bucket.waiting_images("run-1", "team/api", 1),
        lambda: bucket.document("any.yaml", known=None, most=1),
    ):
        with pytest.raises(LedgerUnavailable, match="NoSuchBucket"):
            call()


# S3 says 403 for an object that is not there, where the role may not list the bucket:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html


def refuse(bucket: RunBucket, *operations: str) -> list[dict[str, Any]]:
    """Let S3 refuse operations; return what they are asked for."""
    asked: list[dict[str, Any]] = []

    def answer(model: Any, params: dict[str, Any], **_: Any) -> Any:
        asked.append(params["query_string"])
        error = {"Code": "AccessDenied", "Message": f"no permission for {model.name}"}
        return SimpleNamespace(status_code=403), {
            "Error": error,
            "ResponseMetadata": {"HTTPStatusCode": 403},
        }

    for operation in operations:
        bucket._client.meta.events.register(f"before-call.s3.{operation}", answer)
    return asked


READS: dict[str, tuple[str, Callable[[RunBucket], object], object]] = {
    "list": (
        "runs/run-1/repositories.json",
        lambda bucket: bucket.repositories("run-1"),
        None,
    ),
    "digest": (
        "digests/digest-1/resume.json",
        lambda bucket: bucket.unfinished_digest("digest-1"),
        None,
    ),
    "digest of 0.3.0": (
        "digests/digest-1/told.json",
        lambda bucket: bucket.unfinished_digest("digest-1"),
        None,
    ),
    "document": (
        "any.yaml",
        lambda bucket: bucket.document("any.yaml", known=None, most=5),
        StoredDocument(),
    ),
    "document that was known": (
        "any.yaml",
        lambda bucket: bucket.document("any.yaml", known='"etag"', most=5),
        StoredDocument(),
    ),
}
EACH_READ = pytest.mark.parametrize(("key", "read", "missing"), READS.values(), ids=READS)


@EACH_READ
def test_a_refused_object_that_is_not_listed_is_missing(
    key: str, read: Callable[[RunBucket], object], missing: object, bucket: RunBucket
) -> None:
    keep(f"{key}.another", b"{}")
    refuse(bucket, "GetObject")
    assert read(bucket) == missing


@EACH_READ
def test_a_refused_object_that_is_listed_is_unavailable(
    key: str, read: Callable[[RunBucket], object], missing: object, bucket: RunBucket
) -> None:
    keep(key, b"{}")
    refuse(bucket, "GetObject")
    with pytest.raises(LedgerUnavailable, match=r"AccessDenied.*no permission for GetObject"):
        read(bucket)


@EACH_READ
def test_a_refused_object_is_unavailable_where_listing_is_refused_too(
    key: str, read: Callable[[RunBucket], object], missing: object, bucket: RunBucket
) -> None:
    refuse(bucket, "GetObject", "ListObjectsV2")
    with pytest.raises(LedgerUnavailable, match=r"AccessDenied.*no permission for GetObject"):
        read(bucket)


def test_lists_one_object_and_only_after_a_refusal(bucket: RunBucket) -> None:
    asked = refuse(bucket, "ListObjectsV2")
    assert bucket.repositories("run-1") is None
    assert asked == []
    refuse(bucket, "GetObject")
    with pytest.raises(LedgerUnavailable):
        bucket.repositories("run-1")
    (listed,) = asked
    assert (listed["prefix"], listed["max-keys"]) == ("runs/run-1/repositories.json", 1)


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert module.run_bucket("run-bucket") is module.run_bucket("run-bucket")
