"""Answers of AWS that a test prescribes, in the shapes that botocore knows."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

type Answer = dict[str, Any] | Exception | Callable[[dict[str, Any]], dict[str, Any]]


class Recorded:
    """Answers by operation; other operations go on to moto.

    asked: the parameters of each call by operation. A list of answers is used up one by one, and
    its last one stays.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._answers: dict[str, list[Answer]] = {}
        original = BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            if operation not in self._answers:
                return original(client, operation, parameters)
            model = client.meta.service_model.operation_model(operation)
            validate_parameters(parameters, model.input_shape)
            self.asked[operation].append(parameters)
            answers = self._answers[operation]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            found = answer(parameters) if callable(answer) else answer
            if model.output_shape is not None:
                validate_parameters(found, model.output_shape)
            return found

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def answer(self, operation: str, *answers: Answer) -> None:
        """Prescribe the answers of an operation."""
        self._answers[operation] = [*answers]


def refused(operation: str, code: str, message: str = "no") -> ClientError:
    """Make the error of a refused call."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}},  # type: ignore[typeddict-item]
        operation,
    )
