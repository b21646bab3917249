"""What was decided for each image comes from the log, and must agree with the records."""

import json
from collections import Counter

from local.demo.run import ImageOutcome, RepositoryRecord, disagreement, read_log

STARTED = ImageOutcome("STARTED", "accepted")
FRESH = ImageOutcome("FRESH", "scanned lately")


def line(digest: str, outcome: ImageOutcome, run: str = "demo-1") -> str:
    said = {"message": "done", "run": run, "repository": "team/api", "image_digest": digest}
    return json.dumps({**said, "outcome": outcome.outcome, "reason": outcome.reason})


def record(status: str = "FINISHED", **images: int) -> dict[str, RepositoryRecord]:
    decided = {"started": STARTED, "fresh": FRESH}
    counts = Counter({decided[name]: count for name, count in images.items()})
    return {"team/api": RepositoryRecord(status, counts)}


def test_reads_the_lines_of_one_run() -> None:
    lines = [line("a", STARTED), line("b", FRESH), line("c", STARTED, run="demo-2")]

    assert read_log("demo-1", lines) == {"team/api": {"a": STARTED, "b": FRESH}}


def test_passes_over_every_other_line() -> None:
    lines = ["Killed", "[1]", '{"message": "done", "run": "demo-1", "repository": "team/api"}']

    assert read_log("demo-1", lines) == {}


def test_takes_the_last_word_on_an_image() -> None:
    lines = [line("a", FRESH), line("a", STARTED)]

    assert read_log("demo-1", lines) == {"team/api": {"a": STARTED}}


def test_agrees_when_every_image_is_counted() -> None:
    images = {"team/api": {"a": STARTED, "b": FRESH}}

    assert disagreement(images, record(started=1, fresh=1)) is None


def test_says_what_the_log_does_not_show() -> None:
    said = disagreement({"team/api": {"a": STARTED}}, record(started=1, fresh=2))

    assert said
    assert said.startswith("team/api: only its record has 2 FRESH (scanned lately)")


def test_says_what_the_record_does_not_count() -> None:
    said = disagreement({"team/api": {"a": STARTED}}, record())

    assert said
    assert "only its log has 1 STARTED (accepted)" in said


def test_excuses_a_repository_that_failed_before_it_was_counted() -> None:
    assert disagreement({"team/api": {"a": STARTED}}, record("FAILED")) is None
