import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notify_scan import interpret_event as module
from notify_scan.events.fields import UnreadableScanEvent
from reporting.reports import Deletion, Interpretation, Reason, ScanReport, ScanType
from runtime.clock import CLOCK_SKEW
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.events import interpreted, interpreted_event, sample
from tests.support.template import ROOT

SAMPLES = sorted(path.stem for path in (ROOT / "events/eventbridge").iterdir())


def read_scan(event: Any) -> ScanReport:
    scan = interpreted(event).scan
    assert scan
    return scan


def test_reads_a_basic_scan() -> None:
    digest = "sha256:8c1f0e7b6a5d4c3b2a190f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544"
    assert interpreted(sample("ecr_image_scan_complete")) == Interpretation(
        scan=ScanReport(
            account="123456789012",
            region="eu-central-1",
            repository="shop/cart",
            scan_type=ScanType.BASIC,
            status="COMPLETE",
            scanned_at=datetime(2026, 3, 14, 3, 2, 48, tzinfo=UTC),
            link="https://console.aws.amazon.com/ecr/repositories/private/123456789012/shop/cart"
            f"/_/image/{digest}/scan-results?region=eu-central-1",
            image_digest=digest,
            tags=("2026.03", "stable"),
            severities={
                "CRITICAL": 1,
                "HIGH": 4,
                "MEDIUM": 0,
                "LOW": 17,
                "INFORMATIONAL": 0,
                "UNDEFINED": 0,
            },
        )
    )


def test_reads_an_enhanced_scan_and_what_its_total_has_more() -> None:
    scan = read_scan(sample("inspector2_scan_ecr"))
    assert (scan.scan_type, scan.repository) == (ScanType.ENHANCED, "shop/search")
    assert scan.is_complete
    assert scan.severities == {"CRITICAL": 0, "HIGH": 3, "MEDIUM": 11}
    assert scan.other == 6


@pytest.mark.parametrize(
    ("name", "sent_from", "repository", "is_elsewhere"),
    [
        ("ecr_image_scan_complete", {}, "shop/cart", False),
        (
            "ecr_image_scan_complete",
            {"account": "210987654321"},
            "210987654321:eu-central-1:shop/cart",
            True,
        ),
        (
            "ecr_image_scan_complete",
            {"region": "eu-west-1"},
            "123456789012:eu-west-1:shop/cart",
            True,
        ),
        # The ARN says whose a repository is, whoever sends the event.
        ("inspector2_scan_ecr", {"account": "210987654321"}, "shop/search", False),
    ],
)
def test_knows_other_registries_from_our_own(
    name: str, sent_from: dict[str, str], repository: str, is_elsewhere: bool
) -> None:
    event = interpreted_event(sample(name) | sent_from)
    assert event.record
    assert event.record.repository == repository
    assert event.interpretation.scan
    assert event.interpretation.scan.is_elsewhere == is_elsewhere


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ecr_image_action_delete", "deletion of shop/cart"),
        ("ecr_image_action_push_index", "not of 'PUSH' with 'SUCCESS'"),
        ("ecr_image_scan_complete", "scan COMPLETE"),
        ("ecr_image_scan_complete_without_counts", "scan COMPLETE"),
        ("ecr_image_scan_failed", "scan FAILED"),
        ("ecr_scan_resource_change", "of the kind 'ECR Scan Resource Change' from 'aws.ecr'"),
        ("execution_failed", "run FAILED"),
        ("inspector2_finding", "of the kind 'Inspector2 Finding' from 'aws.inspector2'"),
        ("inspector2_scan_ec2_instance", Reason.NOT_AN_IMAGE),
        ("inspector2_scan_ecr", "scan INITIAL_SCAN_COMPLETE"),
        ("rescan_finished", "summary of scheduled-2026-03-14"),
        ("scan_result_found", "look at shop/cart"),
        ("scan_result_found_enhanced", "look at shop/cart"),
    ],
)
def test_comes_to_an_end_with_every_sample(name: str, expected: str) -> None:
    try:
        told = interpreted(sample(name))
    except UnreadableScanEvent as unreadable:
        outcome = str(unreadable)
    else:
        report = told.scan or told.run
        outcome = f"{report.kind} {report.status}" if report else str(told.silence)
        if told.deletion:
            outcome = f"deletion of {told.deletion.repository}"
        if told.finished_run:
            outcome = f"summary of {told.finished_run}"
        if told.found_image:
            outcome = f"look at {told.found_image.repository}"
    assert expected in outcome


def test_there_is_an_end_for_every_sample() -> None:
    marks = test_comes_to_an_end_with_every_sample.pytestmark  # type: ignore[attr-defined]
    assert [name for name, _ in marks[0].args[1]] == SAMPLES


def test_names_the_kinds_it_knows() -> None:
    with pytest.raises(UnreadableScanEvent) as raised:
        interpreted({"source": "aws.ecr", "detail-type": "ECR Replication Action"})
    assert str(raised.value) == (
        "the event is of the kind 'ECR Replication Action' from 'aws.ecr'; known are "
        "ECR Image Scan, ECR Image Action, Inspector2 Scan, Scan Result Found, Rescan Finished, "
        "Step Functions Execution Status Change"
    )


SCAN = "ecr_image_scan_complete"
DELETED = "ecr_image_action_delete"
RUN = "rescan_finished"
FOUND = "scan_result_found"
ENDED = "execution_failed"


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        (SCAN, "source", None, "the event.source must be a text, and is missing"),
        (SCAN, "detail-type", 7, "the event.detail-type must be a text, not 7"),
        (SCAN, "detail", "x", "the event.detail must be an object, not 'x'"),
        (SCAN, "detail", [], "the event.detail must be an object, not []"),
        (SCAN, "account", "", "the event.account must be a text, and is missing"),
        (SCAN, "region", "r" * 51, "the event.region has 51 characters, more than 50"),
        (SCAN, "time", "soon", "the event.time must be a time in ISO 8601, not 'soon'"),
        (SCAN, "time", "0001-01-01T00:00:00+14:00", "must be a time in ISO 8601"),
        (SCAN, "time", 1773457200, "the event.time must be a text, not 1773457200"),
        (SCAN, "detail.repository-name", None, "detail.repository-name must be a text, and is"),
        (SCAN, "detail.repository-name", "a" * 301, "has 301 characters, more than 300"),
        (SCAN, "detail.repository-name", "arn:aws:s3:::b", "a name or the ARN of a repository, "),
        (SCAN, "detail.scan-status", True, "detail.scan-status must be a text, not True"),
        (SCAN, "detail.image-tags", "v1", "detail.image-tags must be a list, not 'v1'"),
        (SCAN, "detail.image-tags", ["v1", 2], "detail.image-tags[1] must be a text, not 2"),
        (SCAN, "detail.image-digest", {}, "detail.image-digest must be a text, not {}"),
        (SCAN, "detail.finding-severity-counts", [1], "must be an object, not [1]"),
        (SCAN, "detail.finding-severity-counts", {"HIGH": -1}, "a whole number from 0, not -1"),
        (SCAN, "detail.finding-severity-counts", {"HIGH": 1.5}, "a whole number from 0, not 1.5"),
        (SCAN, "detail.finding-severity-counts", {"HIGH": "1"}, "a whole number from 0, not '1'"),
        (SCAN, "detail.finding-severity-counts", {"HIGH": True}, "from 0, not True"),
        (SCAN, "detail.finding-severity-counts", {"HIGH": 10**13}, "from 0, not 10000000000000"),
        (SCAN, "detail.finding-severity-counts", {"x" * 99: "1"}, f"counts.{'x' * 59}… must be"),
        (DELETED, "detail.action-type", "PUSH", "detail must be of a DELETE with SUCCESS, not of"),
        (DELETED, "detail.result", "FAILURE", "not of 'DELETE' with 'FAILURE'"),
        (
            DELETED,
            "detail.image-digest",
            None,
            "detail.image-digest must be a text, and is missing",
        ),
        (RUN, "detail.run", None, "the event.detail.run must be a text, and is missing"),
        (
            RUN,
            "detail.run",
            "../run-1",
            "detail.run must be the name of an execution, not '../run-1'",
        ),
        (RUN, "detail.run", "a:b", "detail.run must be the name of an execution, not 'a:b'"),
        (RUN, "detail.run", "r" * 81, "detail.run must be the name of an execution, not 'rrr"),
        (RUN, "account", "999999999999", "must be of account 123456789012 in eu-central-1, not of"),
        (RUN, "region", "eu-west-1", "not of '123456789012' in 'eu-west-1'"),
        (FOUND, "account", None, "the event.account must be a text, and is missing"),
        (FOUND, "account", "999999999999", "not of '999999999999' in 'eu-central-1'"),
        (FOUND, "region", "eu-west-1", "not of '123456789012' in 'eu-west-1'"),
        (FOUND, "detail.repository-name", None, "repository-name must be a text, and is missing"),
        (FOUND, "detail.repository-name", "Shop", "detail must have names that ECR accepts, not"),
        (
            FOUND,
            "detail.repository-name",
            "arn:aws:ecr:eu-central-1:999999999999:repository/shop/cart",
            "detail must have names that ECR accepts, not 'arn:aws:ecr:eu-central-1:9999",
        ),
        (FOUND, "detail.image-digest", "latest", "names that ECR accepts, not 'shop/cart' and"),
        (FOUND, "detail.image-digest", None, "detail.image-digest must be a text, and is missing"),
        (ENDED, "detail.name", None, "the event.detail.name must be a text, and is missing"),
        (ENDED, "detail.error", 7, "the event.detail.error must be a text, not 7"),
    ],
)
def test_names_the_field_and_what_is_accepted(
    name: str, path: str, value: object, message: str
) -> None:
    event = sample(name)
    *way, last = path.split(".")
    place = event
    for step in way:
        place = place[step]
    place[last] = value
    with pytest.raises(UnreadableScanEvent) as raised:
        interpreted(event)
    assert message in str(raised.value)
    assert path in str(raised.value) or ascii(value)[:10] in str(raised.value)


TIMES = {
    "ecr_image_scan_complete": "time",
    "inspector2_scan_ecr": "time",
    "ecr_image_action_delete": "time",
    "execution_failed": "time",
}


@pytest.mark.parametrize(("name", "path"), TIMES.items())
@given(st.timedeltas(-timedelta(days=1), timedelta(days=27_000)))
@example(CLOCK_SKEW)
@example(CLOCK_SKEW + timedelta(microseconds=1))
@example(timedelta(days=26_590))  # 2099
def test_reads_no_event_of_the_future(name: str, path: str, ahead: timedelta) -> None:
    at = NOW + ahead
    event = sample(name) | {path: at.isoformat()}
    if ahead <= CLOCK_SKEW:
        interpreted_event(event, now=NOW)
        return
    with pytest.raises(UnreadableScanEvent) as raised:
        interpreted_event(event, now=NOW)
    assert (
        str(raised.value) == f"the event.{path} must not be in the future, as {at.isoformat()!r} is"
    )


@pytest.mark.parametrize("event", [None, 7, "text", [], True])
def test_refuses_what_is_no_object(event: object) -> None:
    with pytest.raises(UnreadableScanEvent, match="the event must be an object, not"):
        interpreted(event)


def test_shows_only_the_beginning_of_a_long_value() -> None:
    with pytest.raises(UnreadableScanEvent) as raised:
        interpreted({"source": ["x"] * 10_000})
    assert len(str(raised.value)) < 120


def test_answers_the_state_machine_with_one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", "180")
    monkeypatch.setenv("ACCOUNT_ID", "123456789012")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    event = json.loads(Path(ROOT / "events/notify_scan/interpret_event.json").read_text())
    answer: Any = module.handler(event, any_lambda_context())
    assert answer.keys() == {"event", "interpretation", "record"}
    told = answer["interpretation"]
    assert told.keys() == {f.name for f in fields(Interpretation)}
    assert told["scan"]["repository"] == "payments/ledger"
    assert not told["scan"]["is_elsewhere"]
    assert answer["record"]["repository"] == "payments/ledger"
    assert told["scan"]["scanned_at"] == "2026-03-14T03:04:11+00:00"
    assert (told["run"], told["deletion"], told["silence"]) == (None, None, None)
    finished: Any = module.handler({"event": sample("execution_failed")}, any_lambda_context())
    assert finished["interpretation"]["run"]["error"] == "States.ExceedToleratedFailureThreshold"
    assert finished["record"] is None


def test_reads_which_image_was_deleted() -> None:
    event = sample(DELETED)
    assert interpreted(event) == Interpretation(
        deletion=Deletion(
            account="123456789012",
            region="eu-central-1",
            repository="shop/cart",
            image_digest=event["detail"]["image-digest"],
            deleted_at=datetime(2026, 3, 14, 9, 12, 5, tzinfo=UTC),
        )
    )


@pytest.mark.parametrize("sent_from", [{"account": "999999999999"}, {"region": "eu-west-1"}])
def test_knows_a_deletion_in_another_registry(sent_from: dict[str, str]) -> None:
    deletion = interpreted(sample(DELETED) | sent_from).deletion
    assert deletion
    assert deletion.is_elsewhere


@pytest.mark.parametrize(
    ("status", "silence"),
    [
        ("PENDING", Reason.NOT_ENDED),
        ("IN_PROGRESS", Reason.NOT_ENDED),
        ("FINDINGS_UNAVAILABLE", Reason.NO_RESULT),
        ("LIMIT_EXCEEDED", Reason.NO_RESULT),
        ("IMAGE_ARCHIVED", Reason.NO_RESULT),
    ],
)
@pytest.mark.parametrize("name", [SCAN, "inspector2_scan_ecr"])
def test_case_17_a_scan_without_a_result_is_neither_reported_nor_recorded(
    name: str, status: str, silence: Reason
) -> None:
    event = sample(name)
    event["detail"]["scan-status"] = status
    said = interpreted_event(event)
    assert (said.interpretation, said.record) == (Interpretation(silence=silence), None)


def test_knows_every_status_that_the_sdk_names() -> None:
    """A status that is new there is decided on here, before it is reported as a failed scan."""
    of_ecr = botocore.session.get_session().get_service_model("ecr").shape_for("ScanStatus")
    event, ends = sample(SCAN), {}
    for status in of_ecr.enum:  # type: ignore[attr-defined] # of a StringShape
        event["detail"]["scan-status"] = status
        said = interpreted(event)
        ends[status] = said.silence or _end_of(read_scan(event))
    assert ends == {
        "COMPLETE": "complete",
        "ACTIVE": "complete",
        "FAILED": "failed",
        "UNSUPPORTED_IMAGE": "unsupported",
        "IMAGE_SIZE_EXCEEDED": "unsupported",
        "SCAN_ELIGIBILITY_EXPIRED": "not monitored",
        "PENDING": Reason.NOT_ENDED,
        "IN_PROGRESS": Reason.NOT_ENDED,
        "FINDINGS_UNAVAILABLE": Reason.NO_RESULT,
        "LIMIT_EXCEEDED": Reason.NO_RESULT,
        "IMAGE_ARCHIVED": Reason.NO_RESULT,
    }


def _end_of(scan: ScanReport) -> str:
    if scan.is_complete:
        return "complete"
    if scan.is_unsupported:
        return "unsupported"
    return "failed" if scan.is_monitored else "not monitored"


def test_keeps_silent_on_a_run_that_has_reported_itself() -> None:
    event = sample("execution_failed")
    event["detail"]["error"] = "RescanIncomplete"
    assert interpreted(event) == Interpretation(silence=Reason.RUN_REPORTED_ALREADY)


def test_takes_every_name_that_step_functions_takes() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""
    for name in ("nightly.2026-11-25", "rerun+1", "r", "a" * 80, "run_(1)"):
        event = sample("rescan_finished")
        event["detail"]["run"] = name
        assert interpreted_event(event).interpretation.finished_run == name
