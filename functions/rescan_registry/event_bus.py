"""Events of ecr-rescan, for NotifyScan and other listeners."""

import functools
import json
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

import boto3

from runtime.messages import Json

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "ecr-rescan"
EVENTS_A_CALL = 10  # the most that PutEvents takes


class EventRefused(Exception):
    """EventBridge accepted the call but rejected the event."""


class EventBus:
    """The account's default event bus."""

    def __init__(self, client: "EventBridgeClient") -> None:
        self._client = client

    def put(self, detail_type: str, detail: Json, *, resources: list[str]) -> None:
        """Put one event, or raise EventRefused with EventBridge's reason."""
        self.put_all(detail_type, [detail], resources=resources)

    def put_all(self, detail_type: str, details: Sequence[Json], *, resources: list[str]) -> None:
        """Put events of one kind, ten per call; raise EventRefused for the first rejected one."""
        for some in batched(details, EVENTS_A_CALL, strict=False):
            response = self._client.put_events(
                Entries=[
                    {
                        "Source": SOURCE,
                        "DetailType": detail_type,
                        "Detail": json.dumps(detail),
                        "Resources": resources,
                    }
                    for detail in some
                ]
            )
            for entry in response["Entries"]:
                if "ErrorCode" in entry:
                    raise EventRefused(
                        f"{detail_type}: {entry['ErrorCode']}: {entry['ErrorMessage']}"
                    )


@functools.cache
def event_bus() -> EventBus:
    """Make the adapter of the default bus."""
    return EventBus(boto3.client("events"))
