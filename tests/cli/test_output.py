"""How answers are written: for a person, for a program, for a spreadsheet."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.output import Format, Output, add_row, age, cell, csv_text, number, table
from tests.support.clock import NOW


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (-3, "-3"),
        (0.5, "0.5"),
        (NOW, "2026-03-14T03:00:00+00:00"),
        (("v1", "latest"), "v1 latest"),
        ({"CRITICAL": 1}, '{"CRITICAL": 1}'),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (("=cmd", "b"), "'=cmd b"),
        ("\tx", "�x"),
        ("a\u202eb", "a�b"),
        ("x;=1+1;-y;z", "x;'=1+1;'-y;z"),
        ('x; "=1+1";', """x;' "=1+1";"""),
        ({"x;=1": 1}, """{"x;'=1": 1}"""),
    ],
)
def test_a_cell_is_shown_and_never_computed(value: object, text: str) -> None:
    assert cell(value) == text


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_a_spreadsheet_reads_the_rows_that_were_written(rows: list[tuple[str, str]]) -> None:
    written = csv_text({"image": first, "tag": second} for first, second in rows)
    header, *read = csv.reader(io.StringIO(written, newline=""))
    assert header == ["image", "tag"]
    assert read == [[cell(first), cell(second)] for first, second in rows]
    assert all(
        not each.startswith(("=", "+", "-", "@", "\t", "\r")) for row in read for each in row
    )


def test_the_names_are_above_the_rows() -> None:
    assert csv_text([{"image": "a"}, {"image": "b"}]) == "image\r\na\r\nb\r\n"


def test_no_cell_is_computed_where_semicolons_separate() -> None:
    """With a decimal comma, a spreadsheet splits lines so, and knows quotes only after them."""
    line = csv_text([{"image": "a", "package": 'b,"x;"=1+1";=2;y', "count": 1}]).splitlines()[1]
    assert not any(each.strip(" \"'").startswith("=") for each in line.split(";") if each[0] != "'")


class Named:
    """An answer with a name from outside."""

    name = "lib\x1b[2J\x7f\x9b\u202eé\U000e0041"

    def document(self) -> dict[str, object]:
        return {"package": self.name}

    rows = show = None


def test_json_has_no_character_that_controls_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output(Format.JSON).write(Named(), {})  # type: ignore[arg-type]
    written = capsys.readouterr().out
    assert json.loads(written)["package"] == Named.name
    assert written.replace("\n", "").isascii()
    assert "\x1b" not in written


def test_no_rows_are_no_text() -> None:
    assert csv_text([]) == ""


def drawn(drawing: Any, width: int = 40) -> str:
    console = Console(width=width, file=io.StringIO(), markup=False, highlight=False)
    console.print(drawing)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


def test_a_table_shows_text_from_outside_as_it_is() -> None:
    drawing = table(["image", "critical"], right=["critical"])
    add_row(drawing, "[red]team/api:v1", number(1_200))
    add_row(drawing, "team/\x1b[2Jweb", number(0), style="bold")
    assert drawn(drawing) == (
        "IMAGE             CRITICAL\n[red]team/api:v1     1,200\nteam/�[2Jweb             ·"
    )


def test_a_long_name_is_folded_and_not_cut_off() -> None:
    drawing = table(["image"])
    add_row(drawing, "a" * 50)
    assert drawn(drawing).replace("\n", "").endswith("a" * 50)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-5), "0 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=13, hours=20), "14 d"),
    ],
)
def test_an_age_has_one_unit(ago: timedelta, text: str) -> None:
    assert age(NOW - ago, NOW) == text


def test_waits_in_silence_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().waiting("reading the ledger"):
        pass
    assert capsys.readouterr() == ("", "")


def test_says_on_a_terminal_what_it_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Output().waiting("reading the ledger"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading the ledger" in err


def test_a_complaint_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().complain(f"First: {Named.name}.\n  second\rline")
    assert capsys.readouterr().err == "First: lib�[2J���é�.\n  second�line\n"


def test_colors_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert Output(color=False).console.no_color
    assert not Output().console.no_color
