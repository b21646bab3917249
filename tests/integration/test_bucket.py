"""The run bucket: documents of runs and of digests."""

import json
from typing import Any

import boto3
import pytest

from ledger import bucket as module
from ledger.bucket import RunBucket, StoredDocument
from ledger.errors import LedgerUnavailable


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
    assert bucket.repositories("run-1") == names


def test_writes_the_list_where_the_map_reads_it(bucket: RunBucket) -> None:
    key = bucket.write_repositories("run-1", ("team/api", "team/web"))
    assert key == "runs/run-1/repositories.json"
    written = kept(key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == ["team/api", "team/web"]


def test_keeps_runs_apart(bucket: RunBucket) -> None:
    bucket.write_repositories("run-1", ["team/api"])
    bucket.write_repositories("run-2", ["team/web"])
    assert bucket.repositories("run-1") == ["team/api"]
    assert bucket.repositories("run-") is None


def test_writes_the_summary_beside_the_list(bucket: RunBucket) -> None:
    key = bucket.write_summary("run-1", {"status": "FINISHED", "repositories": 2})
    assert key == "runs/run-1/summary.json"
    assert json.loads(kept(key)["Body"].read()) == {"status": "FINISHED", "repositories": 2}


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
        lambda: bucket.write_summary("run-1", {}),
        lambda: bucket.document("any.yaml", known=None, most=1),
    ):
        with pytest.raises(LedgerUnavailable, match="NoSuchBucket"):
            call()


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert module.run_bucket("run-bucket") is module.run_bucket("run-bucket")
