"""SNS: one publication with a text per protocol: JSON, email and SMS.

Limits: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import json
from collections.abc import Sequence

from reporting.channels.document import document
from reporting.message import Line, Message, Section, Value, plain
from reporting.reports import Report, ScanReport
from reporting.text import trimmed, visible
from runtime.messages import Json

LONGEST_SUBJECT = 99  # "less than 100 characters", without line breaks
LONGEST_SMS = 140  # characters of one part; a longer text would be split
_WIDTH = 16  # of the label of a fact


def publication(message: Message, report: Report) -> Json:
    """Return the parameters of sns:Publish, except the topic."""
    texts = {
        "default": json.dumps(
            document(message, report), ensure_ascii=False
        ),  # for SQS, HTTPS, Lambda and Firehose
        "email": email(message),
        "sms": sms(message),
    }
    return {
        "subject": subject(message),
        "message": json.dumps(texts, ensure_ascii=False),
        "attributes": {
            "kind": _attribute(report.kind),
            "severity": _attribute(message.level),
            "account": _attribute(report.account),
            "region": _attribute(report.region),
            **(_attributes_of_scan(report) if isinstance(report, ScanReport) else {}),
        },
    }


def email(message: Message) -> str:
    """Return the message as the plain text that SNS sends by email."""
    blocks = [plain(message.title)]
    if message.lead:
        blocks.append("\n".join(map(plain, message.lead)))
    blocks += map(_listed, message.sections)
    if message.counts:
        blocks.append(_counted(message))
    blocks.append(
        "\n".join(f"{name + ':':{_WIDTH}}  {plain(line)}" for name, line in message.facts)
    )
    if message.command:
        blocks.append(f"{message.command_heading}\n  {message.command}")
    if message.remarks:
        blocks.append("\n".join(map(plain, message.remarks)))
    blocks.append(f"{message.link_text}:\n{message.link}")
    return "\n\n".join(blocks) + "\n"


def subject(message: Message) -> str:
    """Return the subject of an email."""
    return _first_that_fits(message.one_liners, LONGEST_SUBJECT)


def sms(message: Message) -> str:
    """Return the text of an SMS."""
    return _first_that_fits(message.texts or message.one_liners, LONGEST_SMS)


def _counted(message: Message) -> str:
    counts = [plain(line) for _, line in message.counts]
    if message.counts_heading:
        return f"{message.counts_heading}: {', '.join(counts)}"
    return "\n".join(f"  {count}" for count in counts)


def _listed(section: Section) -> str:
    if section.is_inline:
        return f"{section.heading}: {', '.join(map(plain, section.all_lines))}"
    return "\n".join([f"{section.heading}:", *map(_item, section.all_lines)])


def _item(line: Line) -> str:
    """Return an item of a list with its addresses; several have a line each, with what they are."""
    linked = [part for part in line if isinstance(part, Value) and part.link]
    if len(linked) > 1:
        return "\n    ".join(
            [f"  {plain(line)}", *(f"{each.text}: {each.link}" for each in linked)]
        )
    return "  " + " ".join([plain(line), *(str(each.link) for each in linked)])


def _first_that_fits(lines: Sequence[Line], most: int) -> str:
    """Return the longest line that fits in ASCII, else the shortest one, cut."""
    texts = [plain(line).encode("ascii", "replace").decode() for line in lines]
    cut = trimmed(texts[-1], most - 2).replace("…", "...")
    return next((text for text in texts if len(text) <= most), cut)


def _attributes_of_scan(report: ScanReport) -> dict[str, Json]:
    change = {"change": _attribute(report.change)} if report.change else {}
    return {"repository": _attribute(report.repository), **change}


def _attribute(value: str) -> Json:
    return {"DataType": "String", "StringValue": visible(value)}
