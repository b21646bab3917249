"""The report as a document, for machines: the same by webhook, by SNS and as an event."""

from reporting.message import Message, plain
from reporting.reports import Report
from runtime.messages import Json, encode

VERSION = "1"  # of this form: a field that is taken away or changes its meaning makes it 2


def document(message: Message, report: Report) -> Json:
    """Put the report, and what was made of it, into one JSON object."""
    return {
        "version": VERSION,
        "severity": message.level,
        "title": plain(message.title),
        "report": encode(report),
    }
