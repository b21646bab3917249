"""Format the list of acceptances of a notice."""

import html
from datetime import date

from reporting.message import Line, Section, Value, plain, sections
from reporting.phrases import day
from reporting.reports import Acceptance, NoticeReport
from reporting.text import first

# Characters, with the escapes of Slack, which has the least space: 3,000 with the heading.
LONGEST_LIST = 2_700
_AROUND = len("• ````````\n")  # what Slack puts around a line and its values


def listed_acceptances(report: NoticeReport) -> tuple[Section, ...]:
    """Return the acceptances of a notice as a list that every channel shows whole.

    A single one is in the problem already.
    """
    total = len(report.acceptances) + report.acceptances_omitted
    if total <= 1:
        return ()
    today = report.reported_at.date()
    lines = first([_line(each, today) for each in report.acceptances], _length, LONGEST_LIST)
    left = total - len(lines)
    more: tuple[Line, ...] = ((f"{left:,} more in the document",),) if left else ()
    return sections("Acceptances", (*lines, *more))


def _line(acceptance: Acceptance, today: date) -> Line:
    where: Line = (" in ", Value.of(acceptance.repositories)) if acceptance.repositories else ()
    return (
        Value.of(acceptance.vulnerability),
        *where,
        f" until {day(acceptance.until, today)}, accepted by ",
        Value.of(acceptance.accepted_by),
    )


def _length(line: Line) -> int:
    return len(html.escape(plain(line), quote=False)) + _AROUND
