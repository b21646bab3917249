import io
import json
from dataclasses import dataclass

import pytest

from rescan_registry.outcomes import Outcome
from runtime.entrypoint import entrypoint
from tests.support.engine import any_lambda_context


@dataclass(frozen=True)
class Question:
    repository: str
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    outcome: Outcome
    images: int


def test_turns_json_into_a_message_and_back() -> None:
    handler = entrypoint(Question)(lambda question: Answer(Outcome.GONE, len(question.digests)))
    event = {"repository": "team/api", "digests": ["a", "b"]}
    assert handler(event, any_lambda_context()) == {"outcome": "GONE", "images": 2}


def test_logs_one_line_with_names_and_counts_but_no_lists(
    log: io.StringIO,
) -> None:
    handler = entrypoint(Question)(lambda question: Answer(Outcome.GONE, len(question.digests)))
    handler({"repository": "team/api", "digests": ["sha256:a"]}, any_lambda_context())
    (line,) = log.getvalue().splitlines()
    logged = json.loads(line)
    assert logged["level"] == "INFO"
    assert (logged["repository"], logged["outcome"], logged["images"]) == ("team/api", "GONE", 1)
    assert "sha256:a" not in line


def test_lets_an_error_through_untouched(log: io.StringIO) -> None:
    class EcrMelted(Exception):
        pass

    def fail(_: Question) -> Answer:
        raise EcrMelted("how sad")

    with pytest.raises(EcrMelted, match="how sad"):
        entrypoint(Question)(fail)({"repository": "team/api"}, any_lambda_context())
    assert log.getvalue() == ""
