import json
from typing import Any

import pytest

from operations.kept import Kept, UnknownMessageError, read

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


def test_a_delivery_is_tried_alone() -> None:
    cause = json.dumps({"errorMessage": "SLACK returned 503", "errorType": "WebhookUnavailable"})
    message = {"delivery": DELIVERY, "error": "WebhookUnavailable", "cause": cause}
    assert read(json.dumps(message), "id-1") == Kept(
        what="SLACK",
        about="2 critical in team/api:v1",
        why="WebhookUnavailable: SLACK returned 503",
        execution_input={"deliveries": [{**DELIVERY, "message_id": "redelivery-id-1"}]},
    )


def test_an_event_that_could_not_be_read_is_tried_as_it_came() -> None:
    message = {"event": EVENT, "error": "UnreadableScanEvent", "cause": "detail.scan-status must"}
    assert read(json.dumps(message), "id-1") == Kept(
        what="ECR Image Scan",
        about="team/api",
        why="UnreadableScanEvent: detail.scan-status must",
        execution_input=EVENT,
    )


def test_an_event_that_started_nothing_is_tried_as_it_came() -> None:
    kept = read(json.dumps(EVENT), "id-1")
    assert (kept.what, kept.about, kept.execution_input) == ("ECR Image Scan", "team/api", EVENT)


@pytest.mark.parametrize("event", [{}, [], "text", {"detail": "text"}])
def test_an_event_may_be_anything(event: Any) -> None:
    kept = read(json.dumps({"event": event, "error": "UnreadableScanEvent", "cause": ""}), "id-1")
    assert (kept.what, kept.about, kept.execution_input) == ("event", "", event)


@pytest.mark.parametrize("body", ["", "{", "7", "{}", '{"delivery": {}}', '{"event": {}}'])
def test_what_somebody_else_put_there_is_named(body: str) -> None:
    with pytest.raises(UnknownMessageError):
        read(body, "id-1")


def test_a_long_cause_is_one_short_line() -> None:
    message = {"event": {}, "error": "Any", "cause": "line\nline " * 100}
    assert len(read(json.dumps(message), "id-1").why) == 200
    assert "\n" not in read(json.dumps(message), "id-1").why
