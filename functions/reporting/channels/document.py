"""The report as a JSON document, the same for the webhook, SNS and EventBridge."""

from reporting.message import Message, plain
from reporting.reports import Report
from runtime.messages import Json, encode

VERSION = "2"  # removing a field, or changing the meaning of one, makes it 3


def document(message: Message, report: Report) -> Json:
    """Return the report with its severity and title as one JSON object."""
    return {
        "version": VERSION,
        "severity": message.level,
        "title": plain(message.title),
        "report": encode(report),
    }
