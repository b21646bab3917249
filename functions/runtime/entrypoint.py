"""How Lambda enters a function: a message in, a message out, one log line."""

import functools
from collections.abc import Callable
from enum import Enum

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.log import logger
from runtime.messages import Json, decode, encode


def entrypoint[M, R](
    message: type[M],
) -> Callable[[Callable[[M], R]], Callable[[Json, LambdaContext], Json]]:
    """Wrap a function of one message as a Lambda handler.

    What the function raises reaches the state machine untouched: Lambda reports the name of the
    class, and Retry and Catch match on it.
    """

    def decorate(function: Callable[[M], R]) -> Callable[[Json, LambdaContext], Json]:
        @functools.wraps(function)
        @logger.inject_lambda_context(clear_state=True)
        def handler(event: Json, _context: LambdaContext) -> Json:
            request = decode(message, event)
            result = function(request)
            logger.info("done", extra=_scalars(request) | _scalars(result))
            return encode(result)

        return handler

    return decorate


def _scalars(message: object) -> dict[str, str | int | None]:
    """Pick what fits one log line: names, numbers and outcomes; never lists or nested messages."""
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in vars(message).items()
        if isinstance(value, str | int | None)
    }
