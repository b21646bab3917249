"""A simulated registry behind a real boto3 ECR client, in process.

Only the HTTP connection is replaced: botocore itself validates, serializes and parses messages.
"""

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders

from local.registry.simulated_registry import EcrError, SimulatedRegistry


def attach(
    client: BaseClient,
    registry: SimulatedRegistry,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> Callable[[], None]:
    """Let the registry answer this client's calls, each after the registry's latency.

    The handler is registered first, so that it also precedes moto's. The returned function
    removes it.
    """

    def answer(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        sleep(registry.settings.latency.total_seconds())
        try:
            message = registry.call(operation, json.loads(cast("bytes", request.body)))
        except EcrError as error:
            wrong = {"__type": error.code, "message": error.message}
            return _response(request.url, error.status, wrong)
        return _response(request.url, 200, message)

    handler: Any = answer  # the stubs do not know that a handler may return a response
    client.meta.events.register_first(
        "before-send.ecr",
        handler,
    )
    return lambda: client.meta.events.unregister("before-send.ecr", handler)


def _response(url: str, status: int, message: dict[str, Any]) -> AWSResponse:
    body = _Body(json.dumps(message, default=_epoch).encode())
    headers = HTTPHeaders.from_dict(
        {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())}
    )
    return AWSResponse(url, status, headers, body)


def _epoch(value: object) -> float:
    """Serialize a time as AWS's JSON protocol does: seconds since 1970."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not a type of ECR messages")


class _Body(io.BytesIO):
    """A body that botocore reads like that of an HTTP response."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()
