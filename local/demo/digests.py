"""The digests of a demo, started manually instead of by their schedule."""

import json
import time
from collections.abc import Mapping

from local.cloud.engine import Engine

SECONDS_BETWEEN_READS = 1.0
LONGEST_WAIT_SECONDS = 240


class DigestNotSentError(Exception):
    """SendDigest has failed or does not end; the message says which."""


class DigestSender:
    """The deployed SendDigest. channels: those that get its messages."""

    def __init__(
        self, engine: Engine, outputs: Mapping[str, str], channels: frozenset[str]
    ) -> None:
        self.channels = channels
        self._states = engine.client("stepfunctions")
        self._arn = outputs["SendDigestArn"]

    def send(self) -> bool:
        """Start SendDigest, wait for its end, and return whether it had anything to send."""
        arn = self._states.start_execution(stateMachineArn=self._arn, input="{}")["executionArn"]
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while (execution := self._states.describe_execution(executionArn=arn))[
            "status"
        ] == "RUNNING":
            if time.monotonic() > deadline:
                raise DigestNotSentError(f"SendDigest runs after {LONGEST_WAIT_SECONDS} s.")
            time.sleep(SECONDS_BETWEEN_READS)
        if execution["status"] != "SUCCEEDED":
            raise DigestNotSentError(f"SendDigest ended {execution['status']}.")
        return bool(json.loads(execution["output"])["messages"])
