"""The files of runs in the run bucket, as the functions write them."""

import gzip
import json
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.run_files import ImageLine, RunFiles
from cli.stack import Account, Address, Stack, open_stack
from ledger.bucket import RunBucket
from ledger.run_summaries import summary_key
from local.cloud.moto_internals import S3_CLOCK
from registry.images import LastScan
from rescan_registry.image_outcomes import ImageOutcomes
from rescan_registry.outcomes import Decision, Outcome
from runtime.messages import encode
from tests.cli.conftest import StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.builders import any_image, days_ago
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
def opened(stack: StackInMemory) -> Stack:
    """Open the stack as a command does."""
    address = Address("ecr-rescan")
    return open_stack(Account(address), address)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each summary be written a minute after the one before it."""
    minutes = iter(range(1_000))
    monkeypatch.setattr(
        S3_CLOCK, lambda: NOW.replace(tzinfo=None) + timedelta(minutes=next(minutes))
    )


@pytest.mark.usefixtures("ends")
def test_summaries_are_of_the_runs_that_ended_last(opened: Stack, bucket: RunBucket) -> None:
    for run in ("z-first", "m-second", "a-third"):
        write_summary(bucket, any_summary(run))
    bucket.write_repositories("running", ["team/api"])

    files = RunFiles(opened)

    assert [each.run for each in files.summaries(2)] == ["a-third", "m-second"]
    assert files.ended_runs == ("a-third", "m-second", "z-first")


@pytest.mark.usefixtures("ends")
def test_the_newest_run_over_the_whole_registry_is_no_dry_run(
    opened: Stack, bucket: RunBucket
) -> None:
    write_summary(bucket, any_summary("whole"))
    write_summary(bucket, any_summary("chosen", is_whole=False))
    write_summary(bucket, any_summary("plan", dry_run=True))

    newest = RunFiles(opened).newest_whole()

    assert newest
    assert newest.run == "whole"


def test_without_a_run_there_is_no_newest(opened: Stack) -> None:
    assert RunFiles(opened).newest_whole() is None


@pytest.mark.usefixtures("ends")
def test_the_scans_of_the_runs_that_ended_lately_are_counted(
    opened: Stack, bucket: RunBucket
) -> None:
    for hours, run in enumerate(("now", "earlier", "before")):
        write_summary(bucket, any_summary(run, ended_at=NOW - timedelta(hours=hours)))
    assert RunFiles(opened).started_since(NOW - timedelta(hours=1)) == 6


def test_lines_of_an_image_are_merged_and_that_of_the_batch_decides(
    opened: Stack, bucket: RunBucket
) -> None:
    line = {"repository": "team/api", "image_digest": A}
    bucket.write_image_outcomes(
        "run", "team/api", "batch-0001", [line | {"outcome": "STARTED", "reason": "accepted"}]
    )
    bucket.write_image_outcomes(
        "run",
        "team/api",
        "step-0001",
        [
            line
            | {
                "image_tags": ["v1"],
                "last_scan_at": "2026-03-06T03:00:00+00:00",
                "pushed_at": "2026-01-01T00:00:00+00:00",
                "pulled_at": None,
                "age_days": 8.0,
                "severities": {"CRITICAL": 1},
                "a field of a later version": 1,
            }
        ],
    )
    bucket.write_image_outcomes(
        "run", "team/api", "step-0002", [line | {"outcome": "DEFERRED", "reason": "run time"}]
    )
    bucket.write_image_outcomes(
        "run", "team/web", "step-0001", [{"repository": "team/web", "image_digest": B}]
    )

    files = RunFiles(opened)

    (image,) = files.images("run", "team/api")
    assert image == ImageLine(
        repository="team/api",
        image_digest=A,
        image_tags=("v1",),
        last_scan_at=NOW - timedelta(days=8),
        pushed_at=NOW.replace(month=1, day=1, hour=0),
        age_days=8.0,
        severities={"CRITICAL": 1},
        outcome="STARTED",
        reason="accepted",
    )
    assert {each.repository for each in files.images("run")} == {"team/api", "team/web"}
    assert files.damaged == []


def test_all_that_a_run_writes_about_an_image_is_read(opened: Stack, bucket: RunBucket) -> None:
    image = any_image(pushed_at=days_ago(90), pulled_at=days_ago(1))
    outcomes = ImageOutcomes("run", "team/api", NOW)
    outcomes.note_images([image])
    outcomes.note_scans({image.digest: LastScan("COMPLETE", days_ago(8), severities={"HIGH": 2})})
    outcomes.note({image.digest: Decision(Outcome.STARTED, "accepted")})
    outcomes.write(bucket, "step-0001")

    (written,) = outcomes.lines()
    (read,) = RunFiles(opened).images("run", "team/api")

    assert encode(read) == written


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        gzip.compress(b'{"repository": "team/api"}\n'),
        gzip.compress(b"[1]\n"),
        gzip.compress(b'{"repository": 1, "image_digest": "x"}\n'),
        gzip.compress(b"{}\n")[:-9],
        gzip.compress(b"\xff\n"),
        gzip.compress(json.dumps({"repository": "r", "image_digest": "d"}).encode())[:10]
        + b"\xff" * 20,
    ],
    ids=["no gzip", "no digest", "no object", "no text", "cut off", "no UTF-8", "no gzip inside"],
)
def test_a_damaged_file_is_named_and_the_others_are_read(
    opened: Stack, bucket: RunBucket, body: bytes
) -> None:
    line = {"repository": "team/api", "image_digest": A}
    bucket.write_image_outcomes("run", "team/api", "step-0001", [line])
    key = next(iter(RunFiles(opened)._keys("runs/run/images/"))).replace("step-0001", "step-0002")
    boto3.client("s3").put_object(Bucket="run-bucket", Key=key, Body=body)

    files = RunFiles(opened)

    assert [each.image_digest for each in files.images("run")] == [A]
    assert files.damaged == [key]


def test_a_damaged_summary_is_named(opened: Stack, bucket: RunBucket) -> None:
    write_summary(bucket, any_summary("good"))
    boto3.client("s3").put_object(Bucket="run-bucket", Key=summary_key("bad"), Body=b"{}\n")

    files = RunFiles(opened)

    assert [each.run for each in files.summaries(10)] == ["good"]
    assert files.damaged == [summary_key("bad")]


def test_a_refusal_is_no_missing_summary(
    opened: Stack, bucket: RunBucket, recorded: Recorded
) -> None:
    write_summary(bucket, any_summary("run"))
    recorded.answer("HeadObject", refused("HeadObject", "403"))
    with pytest.raises(ClientError):
        RunFiles(opened).summaries(1)
