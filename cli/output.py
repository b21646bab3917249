"""What a command writes: its answer to standard output, and everything else to standard error."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from reporting.text import visible
from runtime.messages import encode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SCHEMA = 1  # of the JSON objects
_WIDEST = 500  # characters of a line that is not broken
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Where the decimal separator is a comma, spreadsheets split lines at semicolons, and at those
# within quotes, too: they know only quotes that begin after a separator.
_AFTER_SEPARATOR = re.compile(r"""(?<=;)(?=["'\s]*[=+\-@])""")


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Answer(Protocol):
    """The answer of a command, in three forms."""

    def document(self) -> Mapping[str, object]:
        """Return all of it, for JSON: values that runtime.messages encodes."""
        ...

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return its rows, for CSV, named as in the document; all with the same names."""
        ...

    def show(self, console: "Console") -> None:
        """Print it for a person."""
        ...


class Output:
    """Standard output and standard error of a command."""

    def __init__(self, form: Format = Format.TABLE, *, color: bool = True) -> None:
        self.form = form
        self._color = color
        self.console = self._console(stderr=False)
        self.complaints = self._console(stderr=True)

    def write(self, answer: Answer, header: Mapping[str, object]) -> None:
        """Write an answer. header: stack, account and Region, for JSON."""
        match self.form:
            case Format.JSON:
                # In ASCII: no text from outside controls the terminal on which it is read.
                written = {"schema": SCHEMA, **header, **answer.document()}
                sys.stdout.write(f"{json.dumps(encode(written), indent=2)}\n")
            case Format.CSV:
                sys.stdout.write(csv_text(answer.rows()))
            case _:
                answer.show(self.console)

    def complain(self, sentence: str) -> None:
        """Print a sentence on standard error. In each of its lines, no text commands a terminal."""
        from rich.text import Text  # noqa: PLC0415

        lines = map(visible, sentence.split("\n"))
        self.complaints.print(Text("\n".join(lines)), soft_wrap=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show on a terminal what the command waits for; elsewhere nothing."""
        if not self.complaints.is_terminal:
            yield
            return
        with self.complaints.status(what):
            yield

    def _console(self, *, stderr: bool) -> "Console":
        from rich.console import Console  # noqa: PLC0415

        # Without emoji=False, the :secret: of an ARN would become a pictogram.
        return Console(
            stderr=stderr,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=None if self._color else True,
        )


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Write rows as CSV (RFC 4180), with the names of the first row above them."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow([cell(value) for value in row.values()])
    return text.getvalue()


def cell(value: object) -> str:
    """Write a value for a spreadsheet: text from outside is shown, and never computed."""
    match encode(value):
        case None:
            return ""
        case bool(yes):
            return "true" if yes else "false"
        case int(number) | float(number):
            return str(number)
        case list(items):
            return cell(" ".join(map(str, items)))
        case str(text):
            shown = visible(text)
            inert = _AFTER_SEPARATOR.sub("'", shown)
            return f"'{inert}" if inert.startswith(_FORMULA) else inert
        case other:
            return cell(json.dumps(other))


def table(titles: Sequence[str], right: Iterable[str] = ()) -> "Table":
    """Make a table without lines. right: the titles of the columns of numbers."""
    from rich.table import Table  # noqa: PLC0415

    table, numbers = Table(box=None, pad_edge=False, header_style=""), {*right}
    for title in titles:
        # A name that breaks in the middle can still be pasted; one that is cut off cannot.
        table.add_column(
            title.upper(), justify="right" if title in numbers else "left", overflow="fold"
        )
    return table


def print_whole(console: "Console", table: "Table") -> None:
    """Print a table in lines of any length: a terminal breaks them, and each name can be pasted."""
    width = console.width
    console.width = max(width, _WIDEST)
    with console.capture() as captured:
        console.print(table)
    console.width = width
    for line in captured.get().splitlines():  # without the spaces that fill the last column
        console.out(line.rstrip(), highlight=False)


def add_row(table: "Table", *cells: str, style: str = "") -> None:
    """Add a row whose text no terminal takes for a command, and rich for no markup."""
    from rich.text import Text  # noqa: PLC0415

    table.add_row(*(Text(visible(each), style) for each in cells))


def number(count: int) -> str:
    """Write a number of a table: a dot means none, so that the others are seen."""
    return f"{count:,}" if count else "·"


def age(since: datetime, now: datetime) -> str:
    """Write how long ago something was, in one unit: 41 min, 30 h, 8 d."""
    seconds = max((now - since).total_seconds(), 0)
    return duration(seconds) if seconds >= 7_200 else f"{seconds / 60:.0f} min"


def duration(seconds: float) -> str:
    """Write how long something takes, in one unit: 21 s, 41 min, 30 h, 8 d."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 48 * 3_600 else f"{seconds / 86_400:.0f} d"
