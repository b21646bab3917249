"""A queue of SQS on the clock of a test."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.clock import Clock


@dataclass
class _Message:
    body: str
    sent_at: datetime
    visible_at: datetime
    attributes: dict[str, str] = field(default_factory=dict)


class QueueOnAClock:
    """The client of one queue: it hides what is received, and counts the calls.

    refusing: receipts whose visibility it does not change.
    """

    def __init__(self, clock: Clock) -> None:
        self.calls: Counter[str] = Counter()
        self.messages: dict[str, _Message] = {}
        self.refusing: set[str] = set()
        self._clock = clock
        self._put = 0

    def put(self, contents: Iterable[object]) -> None:
        """Put messages into the queue, now."""
        for content in contents:
            self._put += 1
            now = self._clock.now()
            self.messages[f"m-{self._put}"] = _Message(json.dumps(content), now, now)

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
        **_: object,
    ) -> Any:
        """Return what is visible, and hide it."""
        self.calls["ReceiveMessage"] += 1
        now, received = self._clock.now(), []
        for name, message in self.messages.items():
            if message.visible_at <= now:
                message.visible_at = now + timedelta(seconds=VisibilityTimeout)
                received.append(
                    {
                        "MessageId": name,
                        "ReceiptHandle": name,
                        "Body": message.body,
                        "Attributes": {
                            "SentTimestamp": str(int(message.sent_at.timestamp()) * 1000)
                        },
                    }
                )
            if len(received) == MaxNumberOfMessages:
                break
        return {"Messages": received} if received else {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Any) -> Any:  # noqa: N803
        """Hide messages for some seconds from now."""
        self.calls["ChangeMessageVisibilityBatch"] += 1
        assert 1 <= len(Entries) <= 10
        failed = []
        for entry in Entries:
            if entry["ReceiptHandle"] in self.refusing:
                failed.append({"Id": entry["Id"], "Code": "MessageNotInflight"})
                continue
            message = self.messages[entry["ReceiptHandle"]]
            message.visible_at = self._clock.now() + timedelta(seconds=entry["VisibilityTimeout"])
        return {"Failed": failed}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:  # noqa: N803
        """Delete a message."""
        self.calls["DeleteMessage"] += 1
        del self.messages[ReceiptHandle]
