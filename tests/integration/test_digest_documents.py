"""The documents of a digest in a bucket."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from ledger.digest_documents import DigestDocuments, digest_documents


@pytest.fixture
def documents(run_bucket: str) -> DigestDocuments:
    return digest_documents()


def test_writes_the_whole_digest_where_it_says(documents: DigestDocuments) -> None:
    documents.write("digest-1", {"images": 2})
    key = documents.key_of("digest-1")
    assert key == "digests/digest-1.json"
    written = boto3.client("s3").get_object(Bucket=documents.bucket, Key=key)
    assert written["ContentType"] == "application/json"
    assert json.loads(written["Body"].read()) == {"images": 2}


def test_reads_back_what_is_left_to_do(documents: DigestDocuments) -> None:
    documents.write_told("digest-1", {"entries": [1, 2]})
    assert documents.told("digest-1") == {"entries": [1, 2]}


def test_knows_nothing_of_a_digest_that_is_kept_no_more(documents: DigestDocuments) -> None:
    documents.write_told("digest-1", {})
    assert documents.told("digest") is None


def test_lets_an_error_of_s3_through(account: None) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        digest_documents().told("digest-1")


def test_makes_one_client_for_all_invocations(account: None) -> None:
    assert digest_documents() is digest_documents()
