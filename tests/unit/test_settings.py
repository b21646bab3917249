from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import pytest

from runtime.settings import AtLeast, Limits, Pattern, Settings, SettingsError, Threshold, parameter
from tests.support.settings import settings_now


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


@dataclass(frozen=True)
class Every(Settings):
    a_text: str
    maybe_text: str | None
    number: Annotated[int, Limits(1, 12)]
    duration: timedelta
    maybe_duration: timedelta | None
    longer: Annotated[timedelta, AtLeast(timedelta(hours=24), "it takes a day")]
    pattern: Pattern
    colour: Colour
    colours: frozenset[Colour]
    flag: bool
    threshold: Threshold


GIVEN = {
    "A_TEXT": "some",
    "MAYBE_TEXT": "",
    "NUMBER": "12",
    "DURATION": "2d",
    "MAYBE_DURATION": "",
    "LONGER": "24h",
    "PATTERN": "",
    "COLOUR": "RED",
    "COLOURS": "NONE",
    "FLAG": "false",
    "THRESHOLD": "off",
}
READ = Every(
    a_text="some",
    maybe_text=None,
    number=12,
    duration=timedelta(days=2),
    maybe_duration=None,
    longer=timedelta(days=1),
    pattern=None,
    colour=Colour.RED,
    colours=frozenset(),
    flag=False,
    threshold=None,
)


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


def test_reads_each_kind_of_setting() -> None:
    assert settings_now(Every) == READ


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("maybe_text", "any", "any"),
        ("number", "1", 1),
        ("maybe_duration", "36h", timedelta(hours=36)),
        ("longer", "P1D", timedelta(days=1)),
        ("pattern", "a+", "a+"),
        ("colour", "BLUE", Colour.BLUE),
        ("colours", "RED", {Colour.RED}),
        ("colours", "RED, BLUE", {Colour.RED, Colour.BLUE}),
        ("colours", "RED,RED", {Colour.RED}),
        ("flag", "true", True),
        ("threshold", "0", 0),
        ("threshold", "999999999", 999_999_999),
    ],
)
def test_reads_a_value(
    name: str, value: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), value)
    assert getattr(settings_now(Every), name) == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("A_TEXT", "", "AText is not set: deploy the stack again"),
        ("FLAG", "", "Flag is not set"),
        ("COLOURS", "", "Colours is not set"),
        ("THRESHOLD", "", "Threshold is not set"),
        ("NUMBER", "0", "Number must be a whole number from 1 to 12, not '0'"),
        ("NUMBER", "13", "Number must be a whole number from 1 to 12, not '13'"),
        ("NUMBER", "1.5", "Number must be a whole number from 1 to 12, not '1.5'"),
        ("NUMBER", "٣", "Number must be a whole number"),
        ("DURATION", "soon", "Duration must be a duration such as 7d"),
        ("MAYBE_DURATION", "soon", "MaybeDuration must be a duration such as 7d"),
        ("LONGER", "23h", "Longer must be at least 24 hours, not 23h: it takes a day"),
        ("LONGER", "soon", "Longer must be a duration such as 7d"),
        ("PATTERN", "(", "Pattern must be a regular expression, not '\\(': missing"),
        ("PATTERN", "a{99999999999}", "Pattern must be a regular expression"),
        ("FLAG", "True", "Flag must be true or false, not 'True'"),
        ("COLOUR", "GREEN", "Colour must be one of RED, BLUE, not 'GREEN'"),
        ("COLOURS", "red", "Colours must be NONE, or some of RED, BLUE with commas .*, not 'red'"),
        ("COLOURS", "RED,", "Colours must be NONE, .*, not ''"),
        ("COLOURS", "RED;BLUE", "Colours must be NONE, .*, not 'RED;BLUE'"),
        ("COLOURS", "NONE,RED", "Colours must be NONE, .*, not 'NONE'"),
        ("THRESHOLD", "-1", "Threshold must be a whole number or off, not '-1'"),
        ("THRESHOLD", "OFF", "Threshold must be a whole number or off, not 'OFF'"),
        ("THRESHOLD", "1234567890", "Threshold must be a whole number or off"),
    ],
)
def test_names_the_parameter_and_what_is_accepted(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{said}"):
        settings_now(Every)


def test_reads_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings_now(Every)
    monkeypatch.setenv("NUMBER", "soon")
    assert Every.load() is before


def test_names_a_parameter_as_the_template_does() -> None:
    assert parameter("rescan_after") == "RescanAfter"
    assert parameter("pager_duty_secret_arn") == "PagerDutySecretArn"
