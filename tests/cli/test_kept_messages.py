import json
from typing import Any

import pytest

from cli.kept_messages import Kept, Message, Taker, UnknownMessageError, read
from ledger.deliveries import DeliveryKey
from tests.support.causes import of_lambda

DELIVERY = {
    "channel": "SLACK",
    "transport": "WEBHOOK",
    "about": "2 critical in team/api:v1",
    "content": {"text": "any"},
    "target": None,
}
EVENT = {
    "source": "aws.ecr",
    "detail-type": "ECR Image Scan",
    "detail": {"repository-name": "team/api", "scan-status": 7},
}
FINDING = {
    "source": "aws.inspector2",
    "detail-type": "Inspector2 Finding",
    "resources": ["arn:aws:ecr:eu-central-1:123456789012:repository/team/api/sha256:0"],
    "detail": {"type": "PACKAGE_VULNERABILITY"},
}
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine"
SCHEDULED = {f"{MACHINE}:Rescan": Taker.RESCAN_REGISTRY, f"{MACHINE}:Digest": Taker.SEND_DIGEST}
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
UNSTARTED = {
    "ERROR_CODE": "AWS.StepFunctions.StateMachineDoesNotExist",
    "ERROR_MESSAGE": "State Machine Does Not Exist",
    "EXECUTION_ID": "ad06616e51cdf74a",
    "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    "IS_PAYLOAD_TRUNCATED": "false",
    "RETRY_ATTEMPTS": "10",
    "SCHEDULED_TIME": "2026-11-25T03:00:00Z",
    "SCHEDULE_ARN": "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/any",
}
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
REFUSED = {
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "no permission",
    "RULE_ARN": "arn:aws:events:eu-central-1:123456789012:rule/any",
}


def kept(content: object, **attributes: str) -> Kept:
    body = content if isinstance(content, str) else json.dumps(content)
    return read(Message("id-1", body, attributes), SCHEDULED)


def test_a_delivery_is_tried_alone() -> None:
    cause = of_lambda("SLACK returned 503")
    message = {"delivery": DELIVERY, "error": "WebhookUnavailable", "cause": cause}
    assert kept(message) == Kept(
        what="slack",
        about="2 critical in team/api:v1",
        why="WebhookUnavailable: SLACK returned 503",
        taker=Taker.NOTIFY_SCAN,
        content={"deliveries": [{**DELIVERY, "message_id": "redelivery-id-1"}]},
        delivery=DeliveryKey("redelivery-id-1", "SLACK"),
    )


def test_an_event_that_could_not_be_read_is_tried_as_it_came() -> None:
    message = {"event": EVENT, "error": "UnreadableScanEvent", "cause": "detail.scan-status must"}
    assert kept(message) == Kept(
        what="ECR Image Scan",
        about="team/api",
        why="UnreadableScanEvent: detail.scan-status must",
        taker=Taker.NOTIFY_SCAN,
        content=EVENT,
    )


def test_an_event_that_started_nothing_is_tried_as_it_came() -> None:
    assert kept(EVENT, **REFUSED) == Kept(
        what="ECR Image Scan",
        about="team/api",
        why="NO_PERMISSIONS: no permission",
        taker=Taker.NOTIFY_SCAN,
        content=EVENT,
    )


def test_a_finding_that_was_received_too_often_goes_back_to_its_queue() -> None:
    """SQS moves a message with its body alone."""
    assert kept(FINDING) == Kept(
        what="Inspector2 Finding",
        about="arn:aws:ecr:eu-central-1:123456789012:repository/team/api/sha256:0",
        why="InspectorFindings did not process it",
        taker=Taker.INSPECTOR_FINDINGS,
        content=FINDING,
    )


def test_a_pushed_index_goes_to_record_platforms() -> None:
    """The attributes are those of Lambda; the error code is the status of HTTP."""
    event = {
        "detail-type": "ECR Image Action",
        "detail": {"action-type": "PUSH", "repository-name": "team/multi"},
    }
    attributes = {"RequestID": "any", "ErrorCode": "200", "ErrorMessage": "EcrThrottled"}
    assert kept(event, **attributes) == Kept(
        what="ECR Image Action",
        about="team/multi",
        why="200: EcrThrottled",
        taker=Taker.RECORD_PLATFORMS,
        content=event,
    )


def test_a_deleted_image_is_told_to_notify_scan() -> None:
    event = {"detail-type": "ECR Image Action", "detail": {"action-type": "DELETE"}}
    assert kept(event).taker == Taker.NOTIFY_SCAN


@pytest.mark.parametrize(("target", "taker"), SCHEDULED.items())
@pytest.mark.parametrize("body", ["{}", "", '{"Input": "{}"}', '{"deliveries": []}'])
def test_what_a_schedule_could_not_start_is_started_as_the_schedule_does(
    target: str, taker: Taker, body: str
) -> None:
    assert kept(body, **UNSTARTED, TARGET_ARN=target) == Kept(
        what=f"start of {taker}",
        about="2026-11-25T03:00:00Z",
        why="AWS.StepFunctions.StateMachineDoesNotExist: State Machine Does Not Exist",
        taker=taker,
        content={},
    )


def test_a_start_says_what_it_can() -> None:
    target = f"{MACHINE}:Digest"
    assert kept("{}", SCHEDULE_ARN="any", TARGET_ARN=target) == Kept(
        what="start of SendDigest",
        about="",
        why="EventBridge Scheduler could not start it",
        taker=Taker.SEND_DIGEST,
        content={},
    )


@pytest.mark.parametrize("target", [f"{MACHINE}:Other", f"{MACHINE}:Rescan:1", ""])
def test_nothing_is_started_that_the_stack_does_not_start(target: str) -> None:
    with pytest.raises(UnknownMessageError, match="which no schedule of this stack starts"):
        kept("{}", **UNSTARTED, TARGET_ARN=target)


def test_a_start_without_a_target_is_unknown() -> None:
    with pytest.raises(UnknownMessageError, match="is for ''"):
        kept("{}", **UNSTARTED)


@pytest.mark.parametrize("event", [{}, [], "text", {"detail": "text"}])
def test_an_event_may_be_anything(event: Any) -> None:
    found = kept({"event": event, "error": "UnreadableScanEvent", "cause": ""})
    assert (found.what, found.about, found.content) == ("event", "", event)


@pytest.mark.parametrize("resources", [[], "text", None, {}])
def test_an_event_without_a_resource_has_no_subject(resources: Any) -> None:
    assert kept({**FINDING, "resources": resources}).about == ""


@pytest.mark.parametrize("body", ["", "{", "7", "{}", '{"delivery": {}}', '{"event": {}}'])
def test_what_somebody_else_put_there_is_named(body: str) -> None:
    with pytest.raises(UnknownMessageError):
        kept(body)


def test_a_long_cause_is_one_short_line() -> None:
    why = kept({"event": {}, "error": "Any", "cause": "line\nline " * 100}).why
    assert len(why) == 200
    assert "\n" not in why


def test_no_text_of_a_message_commands_a_terminal() -> None:
    escape = "\x1b]0;owned\x07\x1b[2J\u202e"
    event = {"detail-type": escape, "detail": {"repository-name": escape}}
    found = kept(event, ERROR_CODE=escape, ERROR_MESSAGE=escape)
    for text in (found.what, found.about, found.why):
        assert text.isprintable(), ascii(text)
    delivery = {**DELIVERY, "channel": escape, "about": escape}
    found = kept({"delivery": delivery, "error": escape, "cause": escape})
    for text in (found.what, found.about, found.why):
        assert text.isprintable(), ascii(text)
