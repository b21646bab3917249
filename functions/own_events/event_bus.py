"""The event bus, on which NotifyScan and anything else in the account can match the events."""

import functools
import json
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

import boto3

from own_events import SOURCE
from own_events.rescan_finished import RescanFinished
from own_events.scan_result_found import ScanResultFound

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

EVENTS_A_CALL = 10  # the most that PutEvents takes

type OwnEvent = RescanFinished | ScanResultFound


class EventRefused(Exception):
    """EventBridge accepted the call but rejected the event."""


class EventBus:
    """The account's default event bus."""

    def __init__(self, client: "EventBridgeClient") -> None:
        self._client = client

    def put(self, events: Sequence[OwnEvent], *, resources: Sequence[str] = ()) -> None:
        """Put events, ten per call; raise EventRefused at the first that is rejected."""
        for some in batched(events, EVENTS_A_CALL, strict=False):
            response = self._client.put_events(
                Entries=[
                    {
                        "Source": SOURCE,
                        "DetailType": event.DETAIL_TYPE,
                        "Detail": json.dumps(event.detail()),
                        "Resources": list(resources),
                    }
                    for event in some
                ]
            )
            for event, entry in zip(some, response["Entries"], strict=True):
                if "ErrorCode" in entry:
                    raise EventRefused(
                        f"{event.DETAIL_TYPE}: {entry['ErrorCode']}: {entry['ErrorMessage']}"
                    )


@functools.cache
def event_bus() -> EventBus:
    """Make the adapter of the default bus."""
    return EventBus(boto3.client("events"))
