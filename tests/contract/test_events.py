"""Every sample event is what its function takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from notify_scan.compose_notification import Composition
from notify_scan.interpret_event import ReceivedEvent
from notify_scan.post_to_webhook import WebhookDelivery
from notify_scan.recheck_images import QueuedEvents
from notify_scan.record_platforms import PushEvent
from rescan_registry.find_stale_images import RepositoryInRun
from rescan_registry.list_repositories import RunStart
from rescan_registry.record_repository import WorkedRepository
from rescan_registry.scan_starter import BatchInRun
from rescan_registry.summarize_rescan import EndedRun
from runtime.messages import decode, encode
from send_digest.digest import DigestRequest
from send_digest.forget_digest import SentDigest
from send_digest.restart_unfinished import RestartRequest
from tests.support.definition import OF_EVENTS, WORKFLOWS, snake, states
from tests.support.template import ROOT

MESSAGES: dict[str, type[Any]] = {
    "list_repositories": RunStart,
    "find_stale_images": RepositoryInRun,
    "start_image_scans": BatchInRun,
    "record_repository": WorkedRepository,
    "summarize_rescan": EndedRun,
    "interpret_event": ReceivedEvent,
    "compose_notification": Composition,
    "post_to_webhook": WebhookDelivery,
    "recheck_images": QueuedEvents,
    "record_platforms": PushEvent,
    "restart_unfinished": RestartRequest,
    "compose_digest": DigestRequest,
    "forget_digest": SentDigest,
}
EVENTS = sorted(
    path for workflow in WORKFLOWS for path in (ROOT / "events" / workflow.package).iterdir()
)

FREE = {snake(function.name) for function in OF_EVENTS}
EVENTS_OF_STATES = [path for path in EVENTS if path.stem not in FREE]


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_a_sample_event_is_read_whole_by_its_function(path: Path) -> None:
    event = json.loads(path.read_text())
    message = decode(MESSAGES[path.stem], event)
    written = encode(message)
    assert isinstance(written, dict)
    assert event.keys() == written.keys()


@pytest.mark.parametrize("path", EVENTS_OF_STATES, ids=lambda path: path.stem)
def test_a_state_hands_its_function_the_fields_of_the_sample(path: Path) -> None:
    name = path.stem.replace("_", " ").title().replace(" ", "")
    (state,) = [state for state in states() if state.name == name]
    handed = state.body.get("Parameters") or _selected(name)
    assert {key.removesuffix(".$") for key in handed} == json.loads(path.read_text()).keys()


def _selected(name: str) -> dict[str, Any]:
    """Find what the Map around a state without Parameters hands to it."""
    (map_state,) = [
        state
        for state in states()
        if state.kind == "Map" and name in state.body["ItemProcessor"]["States"]
    ]
    selector: dict[str, Any] = map_state.body["ItemSelector"]
    return selector
