"""The documents of a run in a bucket."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ledger.run_documents import RunDocuments, run_documents


@pytest.fixture
def documents(run_bucket: str) -> RunDocuments:
    return run_documents()


def kept(key: str) -> Any:
    return boto3.client("s3").get_object(Bucket="run-bucket", Key=key)


def test_reads_back_the_list_that_it_wrote(documents: RunDocuments) -> None:
    names = [f"team/{n}" for n in range(3_000)]
    documents.write_repositories("run-1", names)
    assert documents.repositories("run-1") == names


def test_writes_the_list_where_the_map_reads_it(documents: RunDocuments) -> None:
    key = documents.write_repositories("run-1", ("team/api", "team/web"))
    assert key == "runs/run-1/repositories.json"
    written = kept(key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == ["team/api", "team/web"]


def test_keeps_runs_apart(documents: RunDocuments) -> None:
    documents.write_repositories("run-1", ["team/api"])
    documents.write_repositories("run-2", ["team/web"])
    assert documents.repositories("run-1") == ["team/api"]
    assert documents.repositories("run-") is None


def test_writes_the_summary_beside_the_list(documents: RunDocuments) -> None:
    key = documents.write_summary("run-1", {"status": "FINISHED", "repositories": 2})
    assert key == "runs/run-1/summary.json"
    assert json.loads(kept(key)["Body"].read()) == {"status": "FINISHED", "repositories": 2}


def test_lets_an_error_of_s3_through(account: None) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        run_documents().repositories("run-1")


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert run_documents() is run_documents()
