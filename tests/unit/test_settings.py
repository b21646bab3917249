from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import pytest

from runtime import settings
from runtime.settings import SettingsError


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


def test_reads_each_kind_of_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TEXT": "some",
        "NUMBER": "12",
        "DURATION": "2d",
        "PATTERN": "a+",
        "COLOUR": "RED",
        "YES": "true",
        "NO": "false",
        "OFF": "off",
        "EMPTY": "",
    }.items():
        monkeypatch.setenv(name, value)
    assert settings.text("TEXT") == "some"
    assert settings.whole_number("NUMBER", least=1, most=12) == 12
    assert settings.duration("DURATION") == timedelta(days=2)
    assert settings.optional_duration("DURATION") == timedelta(days=2)
    assert settings.optional_pattern("PATTERN") == "a+"
    assert settings.choice("COLOUR", Colour) is Colour.RED
    assert settings.flag("YES") is True
    assert settings.flag("NO") is False
    assert settings.number_or_off("NUMBER") == 12
    assert settings.number_or_off("OFF") is None
    assert settings.optional_text("EMPTY") is None
    assert settings.optional_duration("EMPTY") is None
    assert settings.optional_pattern("EMPTY") is None


class Names(StrEnum):
    ONE = "ONE"
    OTHER = "OTHER"


@pytest.mark.parametrize(
    ("value", "read", "accepted"),
    [
        ("", lambda: settings.text("X"), "X is not set"),
        ("0", lambda: settings.whole_number("X", least=1, most=9), "from 1 to 9, not '0'"),
        ("10", lambda: settings.whole_number("X", least=1, most=9), "from 1 to 9, not '10'"),
        ("1.5", lambda: settings.whole_number("X", least=1, most=9), "whole number"),
        ("٣", lambda: settings.whole_number("X", least=1, most=9), "whole number"),
        ("soon", lambda: settings.duration("X"), "X must be a duration such as"),
        ("(", lambda: settings.optional_pattern("X"), "X must be a regular expression"),
        ("a{99999999999}", lambda: settings.optional_pattern("X"), "must be a regular expression"),
        ("True", lambda: settings.flag("X"), "X must be true or false, not 'True'"),
        ("", lambda: settings.flag("X"), "X is not set"),
        ("-1", lambda: settings.number_or_off("X"), "X must be a whole number or off, not '-1'"),
        ("OFF", lambda: settings.number_or_off("X"), "a whole number or off, not 'OFF'"),
        ("1234567890", lambda: settings.number_or_off("X"), "a whole number or off"),
        ("GREEN", lambda: settings.choice("X", Colour), "one of RED, BLUE, not 'GREEN'"),
    ],
)
def test_names_the_setting_and_what_is_accepted(
    value: str, read: Callable[[], object], accepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(SettingsError, match=accepted):
        read()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("NONE", set()), ("ONE", {"ONE"}), ("ONE, OTHER", {"ONE", "OTHER"}), ("ONE,ONE", {"ONE"})],
)
def test_reads_some_of_a_few_names(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: set[str]
) -> None:
    monkeypatch.setenv("SOME", value)
    assert settings.choices("SOME", Names) == expected


@pytest.mark.parametrize("value", ["none", "ONE,", "ONE;OTHER", "NONE,ONE"])
def test_refuses_names_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME", value)
    with pytest.raises(settings.SettingsError, match="SOME must be NONE, or some of ONE, OTHER"):
        settings.choices("SOME", Names)
