"""The renderers draw whatever the channels emit, and hold no statement that this does not need."""

import re
from collections.abc import Callable
from importlib import reload
from pathlib import Path
from types import ModuleType
from typing import Any

import coverage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.page import slack_rendering, teams_rendering
from reporting.channels import slack, teams
from reporting.message import Level, Line, Message, Section, Value
from tests.support.html import Shown

LINK = "https://a.example/?b=1"
FULL = Message(
    level=Level.CRITICAL,
    title=("1 critical finding in ", Value("team/<api>:v1")),
    link=LINK,
    link_text="Open",
    subject="any",
    counts=((Level.CRITICAL, ("1 critical",)), (Level.LOW, ("2 low",))),
    facts=(("Repository", (Value("team/api", LINK),)), ("Scan", ("basic, ", Value("COMPLETE")))),
    lead=(("Compared with ", Value("the last image", LINK)),),
    sections=(
        Section("New", ((Value("CVE-2026-1", LINK), " critical in ", Value("zlib 1.2")),)),
        Section("Fixed", ((Value("CVE-2026-2"),), (Value("CVE-2026-3", LINK),)), is_inline=True),
    ),
    counts_heading="Open now",
    command_heading="Start an execution with",
    command='{"rerun_of": "run-1"}',
    remarks=(("Something is missing.",),),
)


def drawn_by_slack(message: Message) -> str:
    return slack_rendering.slack_message(slack.webhook_message(message))


def drawn_by_teams(message: Message) -> str:
    return teams_rendering.teams_message(teams.webhook_message(message))


def lines() -> st.SearchStrategy[Line]:
    values = st.builds(Value.of, st.text(), st.none() | st.just(LINK))
    return st.lists(values | st.sampled_from(["", "words", " & ", ": "]), max_size=3).map(tuple)


def some[T](of: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=2).map(tuple)


def any_message() -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        level=st.sampled_from(Level),
        title=lines().map(lambda line: ("1 finding in ", *line)),
        link=st.just(LINK),
        link_text=st.just("Open"),
        subject=st.just("any"),
        counts=some(st.tuples(st.sampled_from(Level), lines())),
        facts=some(st.tuples(st.just("Fact"), lines())),
        lead=some(lines()),
        sections=some(st.builds(Section, st.just("Heading"), some(lines()), st.booleans())),
        counts_heading=st.sampled_from(["", "Heading"]),
        command_heading=st.just("Command"),
        command=st.none() | st.text(),
        remarks=some(lines()),
    )


@pytest.mark.parametrize("draw", [drawn_by_slack, drawn_by_teams])
@given(message=any_message())
def test_no_element_of_a_message_is_left_undrawn(
    draw: Callable[[Message], str], message: Message
) -> None:
    assert 'class="undrawn"' not in draw(message)


@pytest.mark.parametrize("draw", [drawn_by_slack, drawn_by_teams])
def test_a_message_is_shown_whole(draw: Callable[[Message], str]) -> None:
    shown = Shown.of(draw(FULL))

    for words in (
        "1 critical finding in",
        "team/<api>:v1",
        "2 low",
        "Repository",
        "team/api",
        "the last image",
        "New",
        "Fixed:",
        "Open now:",
        "critical in",
        "zlib 1.2",
        "Start an execution with",
        '{"rerun_of": "run-1"}',
        "Something is missing.",
    ):
        assert words in shown.text
    assert shown.links["CVE-2026-1"] == shown.links["CVE-2026-3"] == LINK


@pytest.mark.parametrize(
    ("renderer", "draw", "body"),
    [
        (slack_rendering, "slack_message", slack.webhook_message(FULL)),
        (teams_rendering, "teams_message", teams.webhook_message(FULL)),
    ],
    ids=["slack", "teams"],
)
def test_a_message_needs_every_statement_but_those_for_unknown_elements(
    renderer: ModuleType, draw: str, body: Any
) -> None:
    path = Path(str(renderer.__file__))
    measured = coverage.Coverage(data_file=None, config_file=False, include=[str(path)])
    with measured.collect():
        getattr(reload(renderer), draw)(body)

    _, statements, _, missing, _ = measured.analysis2(str(path))

    source = path.read_text().splitlines()
    needless = [source[line - 1].strip() for line in missing]
    assert len(statements) > 30
    assert [line for line in needless if not re.fullmatch(r"return undrawn\(\w+\)", line)] == []
