"""A queue that gets events of the default bus, for tests that must see which events came."""

import json
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from local.cloud.account import ACCOUNT, REGION
from local.cloud.engine import Engine
from tests.support.stack import eventually


class Mailbox:
    """One queue, the target of a rule of its own or of rules of the stack, until its `with` ends.

    A queue may return a message twice, so an event is kept once per ID.
    """

    def __init__(self, engine: Engine) -> None:
        self._sqs = engine.client("sqs")
        self._events = engine.client("events")
        self._name = f"mailbox-{uuid.uuid4().hex[:8]}"
        self._url = str(self._sqs.create_queue(QueueName=self._name)["QueueUrl"])
        self._rules: list[str] = []
        self._received: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Begin to receive what the rules match from now on."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Leave the rules of the stack as they were, and delete everything else."""
        for rule in self._rules:
            self._events.remove_targets(Rule=rule, Ids=[self._name])
        if self._name in self._rules:
            self._events.delete_rule(Name=self._name)
        self._sqs.delete_queue(QueueUrl=self._url)

    def watch(self, *sources: str) -> Self:
        """Receive every event of these sources.

        localemu takes an event through all rules in the order in which they were made. So
        every rule of the stack has started on an event when the event is here.
        """
        self._events.put_rule(Name=self._name, EventPattern=json.dumps({"source": [*sources]}))
        return self.join(self._name)

    def join(self, *rules: str) -> Self:
        """Receive also what these rules match."""
        for rule in rules:
            self._rules.append(rule)
            target = {"Id": self._name, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self._name}"}
            self._events.put_targets(Rule=rule, Targets=[target])
        return self

    def events(self) -> list[Any]:
        """Read every event that has come so far."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get(
            "Messages", ()
        ):
            for message in messages:
                event = json.loads(message["Body"])
                self._received[event["id"]] = event
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._received.values())

    def events_of(self, *names: str, until: Callable[[list[Any]], bool]) -> list[Any]:
        """Wait for events about runs or repositories of these names, until a condition holds."""

        def read() -> list[Any]:
            details = [(event, event["detail"]) for event in self.events()]
            return [
                event
                for event, detail in details
                if detail.get("run") in names or detail.get("repository-name") in names
            ]

        return eventually(read, until, what=f"the events about {', '.join(names)}")
