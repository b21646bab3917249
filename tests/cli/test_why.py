"""ecr-rescan why: an image of every outcome, its changes, and how it is named."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from ledger.bucket import RunBucket
from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.image_baselines import Baselines
from ledger.image_records import (
    Baseline,
    ImageRecords,
    ImageState,
    Note,
    RecordedScan,
)
from ledger.known_findings import KnownFinding, KnownFindings, NotedChange, to_store
from ledger.notified_images import Delivery, NotifiedImages
from ledger.table import Table
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded
from tests.cli.test_run_files import A, B
from tests.support.clock import NOW
from tests.support.summaries import any_summary, write_summary
from tests.support.template import REGION

DAY = timedelta(days=1)
LATER = 4_000_000_000


def detail(digest: str = A, *tags: str, **more: Any) -> dict[str, Any]:
    """Make an image as DescribeImages has it."""
    tagged = {"imageTags": [*tags]} if tags else {}
    pushed = {"imagePushedAt": NOW - 30 * DAY}
    return {"imageDigest": digest, "repositoryName": "team/api", **pushed, **tagged, **more}


@pytest.fixture
def ecr(stack: StackInMemory, recorded: Recorded) -> Recorded:
    """Let ECR have one image, team/api:v1."""
    recorded.answer("DescribeImages", {"imageDetails": [detail(A, "v1")]})
    recorded.answer(
        "GetRegistryScanningConfiguration",
        {"registryId": "123456789012", "scanningConfiguration": {"scanType": "BASIC", "rules": []}},
    )
    return recorded


@pytest.fixture
def table(stack: StackInMemory) -> Table:
    return Table(boto3.client("dynamodb"), "ledger-table")


def scanned(
    table: Table,
    days_ago: float,
    status: str = "COMPLETE",
    digest: str = A,
    severity: str = "HIGH",
) -> None:
    scan = RecordedScan(NOW - days_ago * DAY, status, "BASIC", {severity: 1})
    ImageRecords(table).note_scan("team/api", digest, scan, expires_at=LATER)


def in_run(
    bucket: RunBucket, outcome: str, reason: str, run: str = "last", digest: str = A
) -> None:
    write_summary(bucket, any_summary(run))
    line = {"repository": "team/api", "image_digest": digest, "outcome": outcome, "reason": reason}
    bucket.write_image_outcomes(run, "team/api", "step-0001", [line])


@pytest.mark.parametrize(
    ("outcome", "reason", "next_scan"),
    [
        ("STARTED", "accepted", "It is due"),
        ("FRESH", "scanned within RescanAfter", "It is due"),
        ("RECENT", "scanned within 24 hours", "It is due"),
        ("GONE", "image deleted", "It is due"),
        (
            "DEFERRED",
            "repository budget",
            "a run starts 20,000 scans in a repository at most (MaxScansPerRepository), for the "
            "oldest ones first.",
        ),
        ("DEFERRED", "run time", "It is due"),
        ("DEFERRED", "execution history", "It is due"),
        ("DEFERRED", "ECR throttles", "It is due"),
        ("DEFERRED", "registry scan quota", "when the daily quota allows it"),
        ("FAILED", "KmsException", "failed with KmsException"),
        ("DUE", "dry run", "It is due"),
    ],
)
@pytest.mark.usefixtures("ecr")
def test_says_what_a_run_decided_and_what_is_next(
    run: Run, table: Table, bucket: RunBucket, outcome: str, reason: str, next_scan: str
) -> None:
    scanned(table, 8.125)
    in_run(bucket, outcome, reason)
    answer = run("why", "team/api:v1", width=120)
    assert answer.exit_code == 0, answer.stderr
    assert f"  {outcome}  " in answer.stdout
    assert reason in answer.stdout
    assert next_scan in answer.stdout
    assert "due: last scan 8 d ago, RescanAfter is 7 d" in answer.stdout
    found = json.loads(run("why", "team/api:v1", "-o", "json").stdout)
    assert found["runs"] == [
        {"run": "last", "ended_at": NOW.isoformat(), "outcome": outcome, "reason": reason}
    ]


@pytest.mark.parametrize(
    ("image", "parameters", "outcome", "said"),
    [
        (
            {"imageManifestMediaType": "application/vnd.oci.image.index.v1+json"},
            {},
            "UNSCANNABLE",
            "No run will scan it: UNSCANNABLE, image index.",
        ),
        ({"imageStatus": "ARCHIVED"}, {}, "ARCHIVED", "No run will scan it: ARCHIVED, archived."),
        (
            {},
            {"ExcludeTagPattern": "v"},
            "EXCLUDED",
            "No run will scan it: EXCLUDED, tag excluded.",
        ),
    ],
)
def test_says_why_no_run_scans_an_image(  # noqa: PLR0917 # a fixture each
    run: Run,
    ecr: Recorded,
    stack: StackInMemory,
    bucket: RunBucket,
    image: dict[str, Any],
    parameters: dict[str, str],
    outcome: str,
    said: str,
) -> None:
    stack.parameters |= parameters
    ecr.answer("DescribeImages", {"imageDetails": [detail(A, "v1", **image)]})
    in_run(bucket, outcome, "any")
    text = run("why", "team/api:v1").stdout
    assert said in text
    assert f"{outcome}: " in text


@pytest.mark.usefixtures("ecr")
def test_says_when_an_image_is_tried_again_that_ecr_cannot_scan(
    run: Run, table: Table, bucket: RunBucket
) -> None:
    scanned(table, 2, "UNSUPPORTED_IMAGE")
    in_run(bucket, "UNSUPPORTED", "operating system")
    text = run("why", "team/api:v1").stdout
    assert "ECR cannot scan it (operating system). It is tried again 30 d later." in text


@pytest.mark.usefixtures("ecr")
def test_says_when_a_fresh_image_is_due(run: Run, table: Table) -> None:
    scanned(table, 2)
    text = run("why", "team/api:v1").stdout
    assert "inside: last scan 2 d ago" in text
    assert "It will be scanned by the first run after 2026-03-18 03:00 UTC." in text


@pytest.mark.usefixtures("ecr")
def test_explains_an_image_that_nothing_is_known_of(run: Run) -> None:
    answer = run("why", "team/api:v1", width=120)
    assert answer.exit_code == 0
    assert "overdue: no scan" in answer.stdout
    assert "open    not known, never scanned " in answer.stdout
    assert "It is due" in answer.stdout


def test_an_image_that_was_deleted_is_explained_by_the_ledger(
    run: Run, ecr: Recorded, table: Table
) -> None:
    scanned(table, 2)
    ecr.answer("DescribeImages", {"imageDetails": []})
    for name in (f"team/api@{A}", f"team/api@{A[7:19]}"):
        text = run("why", name).stdout
        assert "It is not in ECR, and will not be scanned." in text
    scanned(table, 2, digest=A[:-1] + "0")
    assert run("why", f"team/api@{A[7:19]}").exit_code == 2
    assert run("why", "team/api:v9").exit_code == 2
    assert run("why", f"team/api@{B[7:19]}").exit_code == 2


def test_a_deleted_image_is_found_by_its_tag(run: Run, ecr: Recorded, table: Table) -> None:
    scanned(table, 2)
    table.put(("repository#team/api", "tag#v9"), {"image_digest": A, "scanned_at": NOW})
    ecr.answer("DescribeImages", {"imageDetails": []})
    assert "It is not in ECR" in run("why", "team/api:v9").stdout


def test_several_images_that_begin_alike_are_named(run: Run, ecr: Recorded) -> None:
    other = A[:-1] + "0"
    ecr.answer("DescribeImages", {"imageDetails": [detail(A), detail(other)]})
    answer = run("why", f"team/api@{A[7:19]}")
    assert answer.exit_code == 2
    assert other in answer.stderr
    assert run("why", f"team/api@{other}").exit_code == 0


@pytest.mark.parametrize("name", ["team/api", "team/api@sha256:12", "Team/api:v1", ":v1"])
@pytest.mark.usefixtures("ecr")
def test_a_name_that_is_none_is_refused(run: Run, name: str) -> None:
    answer = run("why", name)
    assert answer.exit_code == 2
    assert "names no image" in answer.stderr


def test_with_enhanced_scanning_amazon_inspector_scans(run: Run, ecr: Recorded) -> None:
    ecr.answer(
        "GetRegistryScanningConfiguration",
        {
            "registryId": "123456789012",
            "scanningConfiguration": {"scanType": "ENHANCED", "rules": []},
        },
    )
    assert "Amazon Inspector scans it again by itself" in run("why", "team/api:v1").stdout


@pytest.mark.usefixtures("ecr")
def test_a_run_that_did_not_decide_and_a_damaged_file_are_named(
    run: Run, bucket: RunBucket
) -> None:
    write_summary(bucket, any_summary("last"))
    line = {"repository": "team/api", "image_digest": A}
    bucket.write_image_outcomes("last", "team/api", "step-0001", [line])
    assert "not decided" in run("why", "team/api:v1").stdout
    (key,) = (
        each["Key"]
        for each in boto3.client("s3").list_objects_v2(Bucket="run-bucket")["Contents"]
        if "images" in each["Key"]
    )
    boto3.client("s3").put_object(Bucket="run-bucket", Key=key, Body=b"no")
    answer = run("why", "team/api:v1", "-o", "csv")
    assert answer.exit_code == 4
    assert [*csv.DictReader(io.StringIO(answer.stdout))] == []
    assert answer.stderr == f"Outcomes of the image are incomplete: {key} cannot be read.\n"


def shown(run: Run) -> list[dict[str, Any]]:
    """Return the changes of the image."""
    answer = run("why", "team/api:v1", "-o", "json")
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)["changes"]  # type: ignore[no-any-return]


def changed(table: Table, *kinds: Change, **note: Any) -> None:
    """Note changes of the image, the newest first."""
    state = ImageState(counts={"CRITICAL": 1}, exceeded=("CRITICAL",))
    notes = tuple(
        Note(
            event_id=f"event-{number}",
            noted_at=NOW - (number + 1) * DAY,
            before=state,
            before_notified_at=NOW - (number + 2) * DAY,
            **note,
        )
        for number in range(len(kinds))
    )
    baseline = Baseline(state, NOW, revision=5, notes=notes)
    found = ChangedFinding("CVE-2026-31337", "openssl", "CRITICAL")
    changes = tuple(
        NotedChange(f"event-{number}", kind, state, FindingsChange(new=(found,) * 5))
        for number, kind in enumerate(kinds)
        if kind is not Change.UNCHANGED
    )
    findings = KnownFindings(
        5,
        "BASIC",
        NOW.date(),
        {("CVE-2026-31337", "openssl"): KnownFinding("CRITICAL", NOW.date(), revision=5)},
        changes=changes,
        expires_at=LATER,
    )
    scanned(table, 1, severity="CRITICAL")
    Baselines(table).note(
        "team/api",
        A,
        baseline,
        seen=None,
        scanned_at=NOW,
        also=[to_store(table, "team/api", A, findings, revision=5)],
    )


@pytest.mark.usefixtures("ecr")
def test_says_who_was_notified_of_each_change_and_why_not(
    run: Run, stack: StackInMemory, table: Table
) -> None:
    stack.parameters |= {
        "SlackWebhookSecretArn": "arn:slack",
        "PagerDutySecretArn": "arn:pagerduty",
        "DigestChannels": "SLACK",
        "ChatbotTopicState": "DISABLED",
    }
    changed(table, Change.WORSE, Change.BETTER, Change.UNCHANGED)
    delivery = Delivery("id", NOW - DAY, revision=5)
    NotifiedImages(table).note("team/api", A, "SNS", delivery, expires_at=LATER)

    worse, better, unchanged = shown(run)

    assert worse["kind"] == "WORSE"
    assert worse["names"] == {"new": ["CVE-2026-31337"] * 5}
    assert worse["notified"] == {"SNS": (NOW - DAY).isoformat()}
    assert worse["not_notified"] == {
        "SLACK": "in a digest",
        "PAGERDUTY": "opens and closes no incident",
    }
    assert better["not_notified"] == {"all": "none: NotifyOn excludes BETTER"}
    assert unchanged["not_notified"]["SNS"] == "not delivered"

    text = run("why", "team/api:v1", "--region", REGION, width=160).stdout
    assert "worse: new CVE-2026-31337, CVE-2026-31337, CVE-2026-31337 and 2 more" in text
    assert "\nWhat was not delivered: ecr-rescan undelivered --region eu-west-1\n" in text
    assert "SNS 03-13 03:00; SLACK: in a digest" in text
    assert "none: NotifyOn excludes BETTER" in text
    assert "1 critical" in text


@pytest.mark.usefixtures("ecr")
def test_says_who_was_notified_of_what_came_with_another_image(run: Run, table: Table) -> None:
    """A finding that came with the image that had the tag before was notified with that image."""
    findings = {
        ("CVE-1", "zlib"): KnownFinding("HIGH", (NOW - 3 * DAY).date(), revision=2, origin=B)
    }
    known = KnownFindings(1, "BASIC", NOW.date() - 30 * DAY, findings, expires_at=LATER)
    scanned(table, 1)
    Baselines(table).note(
        "team/api",
        A,
        Baseline(ImageState({"HIGH": 1}), NOW, revision=1, notes=()),
        seen=None,
        scanned_at=NOW,
        also=[to_store(table, "team/api", A, known, revision=1)],
    )
    NotifiedImages(table).note(
        "team/api", B, "SNS", Delivery("id", NOW - 2 * DAY, revision=2), expires_at=LATER
    )
    found = json.loads(run("why", "team/api:v1", "-o", "json").stdout)
    (finding,) = found["state"]["findings"]
    assert finding["notified"] == {"SNS": (NOW - 2 * DAY).isoformat()}


@pytest.mark.usefixtures("ecr")
def test_a_change_is_not_named_twice(run: Run, table: Table) -> None:
    changed(table, Change.NEW)
    text = run("why", "team/api:v1", width=160).stdout
    assert "  new: CVE-2026-31337, CVE-2026-31337, CVE-2026-31337 and 2 more  " in text


@pytest.mark.usefixtures("ecr")
def test_names_of_runs_are_whole(run: Run, bucket: RunBucket) -> None:
    name = "0123456789" * 7
    in_run(bucket, "DEFERRED", "registry scan quota", run=name)
    lines = run("why", "team/api:v1").stdout.splitlines()
    assert any(line.startswith("ENDED (UTC)  OUTCOME   REASON ") for line in lines)
    assert any(line.endswith(f"  {name}") for line in lines)


@pytest.mark.usefixtures("ecr")
def test_a_dry_run_does_not_decide(run: Run, bucket: RunBucket) -> None:
    in_run(bucket, "DUE", "dry run")
    write_summary(bucket, any_summary("last", dry_run=True))
    found = json.loads(run("why", "team/api:v1", "-o", "json").stdout)
    assert [each["outcome"] for each in found["runs"]] == ["DUE"]
    assert found["state"]["outcome"] is None


@pytest.mark.usefixtures("ecr")
def test_names_that_are_not_read_any_more_are_not_shown(
    run: Run, stack: StackInMemory, table: Table
) -> None:
    changed(table, Change.WORSE)
    stack.parameters["IncludeFindings"] = "false"
    found = json.loads(run("why", "team/api:v1", "-o", "json").stdout)
    assert (found["state"]["counts"], found["state"]["is_named"]) == ({"CRITICAL": 1}, False)


@pytest.mark.usefixtures("ecr")
def test_a_message_that_was_not_delivered_is_said_to_be_so(
    run: Run, stack: StackInMemory, table: Table
) -> None:
    stack.parameters["DigestChannels"] = "SNS"
    changed(table, Change.WORSE, is_immediate=True, triggered="key")
    (change,) = shown(run)
    assert change["not_notified"]["SNS"] == "not delivered"


@pytest.mark.usefixtures("ecr")
def test_a_parameter_that_cannot_be_used_is_named(
    run: Run, stack: StackInMemory, table: Table
) -> None:
    changed(table, Change.WORSE)
    stack.parameters["NotifyOn"] = "SOMETIMES"
    answer = run("why", "team/api:v1")
    assert answer.exit_code == 3
    assert "SOMETIMES" in answer.stderr


@pytest.mark.usefixtures("ecr")
def test_a_scan_that_was_started_is_under_way(run: Run, table: Table) -> None:
    started_at = NOW - timedelta(minutes=5)
    ImageRecords(table).note_started("team/api", A, run="run", at=started_at, expires_at=LATER)
    assert "A scan of it is under way." in run("why", "team/api:v1").stdout


@pytest.mark.usefixtures("ecr")
def test_no_scheduled_run_scans_outside_the_filter(
    run: Run, stack: StackInMemory, bucket: RunBucket
) -> None:
    in_run(bucket, "FRESH", "scanned within RescanAfter")  # of a run that was given its name
    stack.parameters["RepositoryFilter"] = "prod/"
    assert run("why", "team/api:v1").stdout.endswith(
        "\nNo scheduled run will scan it: RepositoryFilter=prod/ does not match team/api.\n"
    )
    stack.parameters["RepositoryFilter"] = "team"
    assert "No scheduled run" not in run("why", "team/api:v1").stdout


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [
        (8, "COMPLETE", "It is due"),
        (1, "COMPLETE", "after 2026"),
        (1, "UNSUPPORTED_IMAGE", "again"),
    ],
)
@pytest.mark.usefixtures("ecr")
def test_says_that_no_run_is_scheduled(
    run: Run, stack: StackInMemory, table: Table, days: int, status: str, words: str
) -> None:
    scanned(table, days, status)
    answer = run("why", "team/api:v1")
    assert "No run is scheduled" not in answer.stdout
    stack.parameters["ScheduleState"] = "DISABLED"
    last = run("why", "team/api:v1").stdout.splitlines()[-1]
    assert words in last
    assert last.endswith("No run is scheduled, ScheduleState=DISABLED: ecr-rescan run starts one.")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("accepted_risks: [", "accepted-risks.yaml, line 2: not YAML"),
        (
            "accepted_risks: [{vulnerability: CVE-1, repositories: (a+)+, reason: a, "
            "expires: 2026-12-31, accepted_by: b}]",
            "Accepted risks in (a+)+ are not applied",
        ),
    ],
)
@pytest.mark.usefixtures("ecr", "stack")
def test_names_accepted_risks_that_are_not_applied(
    run: Run, monkeypatch: pytest.MonkeyPatch, document: str, words: str
) -> None:
    monkeypatch.setattr("runtime.patterns.MOST_SECONDS", 0.0)
    boto3.client("s3").put_object(
        Bucket="run-bucket", Key="accepted-risks.yaml", Body=document.encode()
    )
    answer = run("why", "team/api:v1", "-o", "json")
    assert answer.exit_code == 4
    (missing,) = json.loads(answer.stdout)["missing"]
    assert words in missing
    assert answer.stderr == f"{missing}\n"


KINDS = ("image", "findings", "child", "notified")


def known(table: Table) -> None:
    """Let the ledger have each kind of item about the image."""
    changed(table, Change.NEW)
    scanned(table, 1)
    child_of = {"platform": "linux/arm64", "tags": frozenset({"v1"}), "expires_at": LATER}
    table.put(("repository#team/api", f"child#{A}"), child_of)
    delivery = Delivery("message", NOW, 1)
    NotifiedImages(table).note("team/api", A, "SLACK", delivery, expires_at=LATER)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("ecr")
def test_an_item_that_cannot_be_read_is_named_and_hides_no_other(
    run: Run, table: Table, kind: str
) -> None:
    known(table)
    whole = run("why", "team/api:v1", "-o", "json")
    assert (whole.exit_code, whole.stderr) == (0, "")
    damaged = {
        "image": {"last_scan": {"scanned_at": "yesterday", "status": "COMPLETE"}},
        "findings": {"found": b"no", "revision": 1, "scan_type": "BASIC", "expires_at": 1},
        "child": {"platform": 7},
        "notified": {"SLACK_1": {"message_id": "any"}},
    }
    table.put(("repository#team/api", f"{kind}#{A}"), damaged[kind])
    answer = run("why", "team/api:v1", "-o", "json")
    assert answer.exit_code == 4
    said = f"What the ledger knows of team/api@{A} is incomplete: an item cannot be read."
    assert answer.stderr == f"{said}\n"
    found, before = json.loads(answer.stdout), json.loads(whole.stdout)
    assert found["missing"] == [said]
    assert (found["state"]["scanned_at"] is None) is (kind == "image")
    assert (found["state"]["platform"] is None) is (kind == "child")
    assert (found["state"]["notified"] == before["state"]["notified"]) is (kind != "notified")


@pytest.mark.usefixtures("stack")
def test_a_deleted_image_whose_items_cannot_be_read_is_not_unknown(
    run: Run, recorded: Recorded, table: Table
) -> None:
    recorded.answer("DescribeImages", {"imageDetails": []})
    recorded.answer(
        "GetRegistryScanningConfiguration",
        {"registryId": "123456789012", "scanningConfiguration": {"scanType": "BASIC", "rules": []}},
    )
    table.put(("repository#team/api", f"image#{A}"), {"last_scan": "damaged"})
    answer = run("why", f"team/api@{A}")
    assert answer.exit_code == 4, answer.stderr
    table.put(("repository#team/api", "tag#v1"), {"image_digest": A})
    answer = run("why", "team/api:v1")
    assert (answer.exit_code, answer.stderr) == (
        3,
        "What the ledger knows of team/api:v1 is incomplete: an item cannot be read. Give the "
        "digest of the image.\n",
    )
