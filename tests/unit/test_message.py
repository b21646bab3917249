import pytest

from reporting.message import LONGEST_VALUE, Level, Message, Value, plain


def any_message(lines: int) -> Message:
    return Message(
        level=Level.HIGH,
        title=("2 in ", Value("team/api")),
        link="https://example.org",
        link_text="Open",
        subject="any",
        lines=tuple((f"line {number}",) for number in range(lines)),
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
    def shown(message: Message) -> tuple[int, tuple[str, ...]]:
        return len(message.lines), tuple(map(plain, message.remarks))

    assert any_message(9).within(shown, lambda told: told[0] <= 9) == (9, ())
    assert any_message(9).within(shown, lambda told: told[0] <= 3) == (
        2,
        ("7 more omitted: the message would be too long for this channel.",),
    )
    assert any_message(9).within(shown, lambda _: False)[0] == 0
    assert any_message(0).within(shown, lambda _: False) == (0, ())
