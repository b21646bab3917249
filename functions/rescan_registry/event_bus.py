"""Events of ecr-rescan, for NotifyScan and for whoever else listens."""

import functools
import json
from typing import TYPE_CHECKING

import boto3

from runtime.messages import Json

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "ecr-rescan"


class EventRefused(Exception):
    """EventBridge took the call but not the event."""


class EventBus:
    """The account's default event bus."""

    def __init__(self, client: "EventBridgeClient") -> None:
        self._client = client

    def put(self, detail_type: str, detail: Json, *, resources: list[str]) -> None:
        """Put one event, or raise EventRefused with EventBridge's reason."""
        response = self._client.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": detail_type,
                    "Detail": json.dumps(detail),
                    "Resources": resources,
                }
            ]
        )
        if response["FailedEntryCount"]:
            (entry,) = response["Entries"]
            raise EventRefused(f"{detail_type}: {entry['ErrorCode']}: {entry['ErrorMessage']}")


@functools.cache
def event_bus() -> EventBus:
    """Make the adapter of the default bus."""
    return EventBus(boto3.client("events"))
