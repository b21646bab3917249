"""The overview above the messages: what is new, worse and cleared, and how the runs ended.

It is made of the reports that receivers for machines got: JSON with `kind`, `change` and `title`.
"""

import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from local.page.elements import box, element
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
MOST_TITLES = 5  # of a story; the rest is a number
_STORIES = {
    "NEW": "New",
    "WORSE": "Worse",
    "CLEARED": "Cleared",
    "run": "Runs",
    "BETTER": "Better",
    "FAILED": "Scan failed",
    "UNCHANGED": "Reminders",
    "scan": "Not compared",
    "digest": "Digests",
    "notice": "Notices",
}


@dataclass(frozen=True)
class _Entry:
    title: str
    anchor: str | None
    weight: tuple[list[int], bool]


def reports_in(requests: Sequence[Received], delivered: Delivered) -> list[Any]:
    """Read the reports, as JSON, from one channel that has them; none if all of those are off."""
    if delivered.topic_messages:
        read = [json_of(message.text) for message in delivered.topic_messages]
    elif delivered.events:
        read = [event.detail for event in delivered.events]
    else:
        read = [each.json for each in requests if each.channel == "webhook" and each.is_accepted]
    return [each for each in read if _is_report(each)]


def weight(report: Any) -> tuple[list[int], bool]:
    """Weigh a report by its findings; between equals, by whether findings are known by name."""
    scan = report["report"]
    counts = scan.get("severities", {})
    return [counts.get(severity, 0) for severity in SEVERITIES], bool(scan.get("worst_findings"))


def slack_title(message: Any) -> str:
    """Return the title of a Slack message as the report has it."""
    text = message.get("text") if isinstance(message, dict) else None
    return html.unescape(str(text)).replace("`", "")


def overview(reports: Sequence[Any], anchors: Mapping[str, Sequence[str]]) -> Markup:
    """Draw the stories; a title links to its message.

    reports: in the order of their time. anchors: those of the messages with a title, likewise.
    """
    if not reports:
        return Markup()
    seen = Counter[str]()
    told: defaultdict[str, list[_Entry]] = defaultdict(list)
    for report in reports:
        title = report["title"]
        places = anchors.get(title, ())
        anchor = places[seen[title]] if seen[title] < len(places) else None
        seen[title] += 1
        told[_story_of(report["report"])].append(_Entry(title, anchor, weight(report)))
    return box("stories", *_stories(told))


def _stories(told: Mapping[str, Sequence[_Entry]]) -> Iterator[Markup]:
    for name, title in _STORIES.items():
        entries = told.get(name, ())
        if not entries:
            continue
        if name != "run":
            by_title = sorted(entries, key=lambda entry: entry.title)
            entries = sorted(by_title, key=lambda entry: entry.weight, reverse=True)
        rows = [element("li", _linked(entry)) for entry in entries[:MOST_TITLES]]
        if (more := len(entries) - MOST_TITLES) > 0:
            rows.append(element("li", f"and {more:,} more", class_="more"))
        yield box(
            f"story {name.lower()}",
            element("h2", title, " ", element("b", f"{len(entries):,}")),
            element("ul", *rows),
        )


def _story_of(report: Mapping[str, Any]) -> str:
    """Return the name of a report's story: a change of an image, else its kind."""
    change, kind = report.get("change"), report["kind"]
    is_known = kind == "scan" and isinstance(change, str) and change in _STORIES
    return str(change if is_known else kind)


def _linked(entry: _Entry) -> Markup:
    if entry.anchor is None:
        return element("span", entry.title)
    return element("a", entry.title, href=f"#{entry.anchor}")


def _is_report(document: Any) -> bool:
    match document:
        case {"title": str(), "report": {"kind": "scan", "severities": dict()}}:
            return True
        case {"title": str(), "report": {"kind": "run" | "digest" | "notice"}}:
            return True
    return False


def json_of(text: str) -> Any:
    """Return text as JSON, or None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
