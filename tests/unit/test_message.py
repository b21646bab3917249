from collections.abc import Callable
from dataclasses import replace

import pytest

from reporting.message import LONGEST_VALUE, Level, Message, Value, plain, sections


def any_message(lines: int) -> Message:
    return Message(
        level=Level.HIGH,
        title=("2 in ", Value("team/api")),
        link="https://example.org",
        link_text="Open",
        subject="any",
        sections=(
            *sections("First", ((f"line {number}",) for number in range(lines))),
            *sections("Last", (("last line",),) * (lines // 3)),
        ),
    )


def test_every_level_has_a_sign_of_its_own() -> None:
    assert len({level.sign for level in Level}) == len(Level)


def test_a_value_can_be_seen_and_is_not_too_long() -> None:
    value = Value.of("\u202e" + "x" * 900)
    assert len(value.text) == LONGEST_VALUE
    assert value.text.startswith("\N{REPLACEMENT CHARACTER}xxx")


@pytest.mark.parametrize(
    "link", ["https://nvd.example/vuln?id=CVE-1&x=(2)#top", "https://a.example", "https://a:443/"]
)
def test_a_value_keeps_an_address(link: str) -> None:
    assert Value.of("any", link).link == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        "http://a.example",
        "javascript:alert(1)",
        "https://",
        "https://a.example/ b",
        "https://a.example/>|`",
        "https://user@a.example/",
        "https://[::1]/",
        "https://a.example/\u202e",
        "https://a.example/" + "x" * 600,
    ],
)
def test_a_value_leads_nowhere_else(link: str | None) -> None:
    assert Value.of("any", link) == Value("any")


def test_writes_a_line_plainly() -> None:
    assert plain(any_message(0).title) == "2 in team/api"


def test_leaves_lines_out_until_the_message_fits() -> None:
    def shown(message: Message) -> tuple[list[int], list[str]]:
        return [len(each.lines) for each in message.sections], [*map(plain, message.remarks)]

    def at_most(lines: int) -> Callable[[tuple[list[int], list[str]]], bool]:
        return lambda told: sum(told[0]) <= lines

    assert any_message(9).within(shown, at_most(12)) == ([9, 3], [])
    assert any_message(9).within(shown, at_most(6)) == (
        [6],
        ["6 more omitted: the message would be too long for this channel."],
    )
    assert replace(any_message(9), sections=any_message(9).sections[::-1]).within(
        shown, at_most(6)
    ) == ([3, 3], ["6 more omitted: the message would be too long for this channel."])
    assert any_message(9).within(shown, at_most(-1))[0] == []
    assert any_message(0).within(shown, at_most(-1)) == ([], [])


def test_what_is_left_out_is_one_number() -> None:
    """With what the report has beyond the lines of a list."""
    (section,) = sections("First", [("line 1",), ("line 2",)], more=1_198)
    assert [*map(plain, section.all_lines)] == ["line 1", "line 2", "and 1,198 more"]
    message = replace(any_message(0), sections=(section,))

    def shown(message: Message) -> list[str]:
        lines = [plain(line) for each in message.sections for line in each.all_lines]
        return [*lines, *map(plain, message.remarks)]

    assert message.within(shown, lambda lines: "line 2" not in lines) == [
        "line 1",
        "1,199 more omitted: the message would be too long for this channel.",
    ]


def test_a_section_without_lines_says_how_many_there_are() -> None:
    (section,) = sections("First", (), more=7)
    assert [*map(plain, section.all_lines)] == ["and 7 more"]
    assert sections("First", ()) == ()
