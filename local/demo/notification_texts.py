"""The messages that a demo shows: the worst scan, and the run that has most to say."""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.page.message_page import page
from local.page.page_screenshots import take_screenshots
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered, Email

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")


@dataclass(frozen=True)
class Highlights:
    """The titles of the worst scan and of the run, and what the channels made of them."""

    scan_title: str | None = None
    run_title: str | None = None
    requests: Sequence[Received] = field(default=(), repr=False)
    emails: Sequence[Email] = field(default=(), repr=False)

    @classmethod
    def of(cls, requests: Sequence[Received], delivered: Delivered) -> "Highlights":
        """Pick the scan with the worst findings, and a run that did not finish if there is one."""
        documents = list(_documents(requests, delivered))
        scans = [each for each in documents if "repository" in each["report"]]
        runs = [each for each in documents if "run" in each["report"]]
        scan = max(scans, key=_weight, default=None)
        run = max(runs, key=lambda each: each["report"]["status"] != "FINISHED", default=None)
        return cls(
            scan["title"] if scan else None,
            run["title"] if run else None,
            tuple(request for request in requests if request.is_accepted),
            delivered.emails,
        )

    def pictured(self) -> tuple[Received, ...]:
        """Give the two messages as Slack and Teams took them."""
        titles = [title for title in (self.scan_title, self.run_title) if title]
        return tuple(
            request
            for channel in ("slack", "teams")
            for title in titles
            for request in self._posted(channel, title)[:1]
        )

    def slack_scan(self) -> str | None:
        """Give the texts of the scan's message in Slack, as they are in its blocks."""
        posted = self._posted("slack", self.scan_title)
        return "\n".join(_texts_of_slack(posted[0].json)) if posted else None

    def run_email(self) -> Email | None:
        """Give the e-mail on the run."""
        title = self.run_title
        return next((each for each in self.emails if title and each.text.startswith(title)), None)

    def _posted(self, channel: str, title: str | None) -> list[Received]:
        return [
            request
            for request in self.requests
            if request.channel == channel and title and _title(channel, request.json) == title
        ]


def draw(
    directory: Path, requests: Sequence[Received], delivered: Delivered, highlights: Highlights
) -> str:
    """Draw all messages on a page, and picture those two; say what there is to look at."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "inbox.html").write_text(page(requests, delivered))
    pictures = take_screenshots(highlights.pictured(), None, directory)
    return f"every message as its receiver got it: {directory.name}/inbox.html. {pictures}"


def _documents(requests: Sequence[Received], delivered: Delivered) -> Iterator[Any]:
    """Read the reports as machines get them, from a channel that is on and has them."""
    if delivered.topic_messages:
        yield from (json.loads(message.text) for message in delivered.topic_messages)
    elif delivered.events:
        yield from (event.detail for event in delivered.events)
    else:
        yield from (each.json for each in requests if each.channel == "webhook")


def _weight(document: Any) -> tuple[list[int], bool]:
    """Weigh a scan by its findings; between equals, by whether they are known by name."""
    report = document["report"]
    counts = report.get("severities", {})
    return [counts.get(severity, 0) for severity in SEVERITIES], bool(report.get("worst_findings"))


def _title(channel: str, message: Any) -> str:
    """Read the title of a message, without what the channel needs around it."""
    if channel == "slack":
        return html.unescape(message["text"]).replace("`", "")
    title = message["attachments"][0]["content"]["body"][0]["inlines"]
    return "".join(run["text"] for run in title).partition(" ")[2]


def _texts_of_slack(message: Any) -> Iterator[str]:
    parts = [message, *message.get("attachments", [])]
    for block in (block for part in parts for block in part.get("blocks", [])):
        if "text" in block:
            yield block["text"]["text"]
        for text in [*block.get("fields", []), *block.get("elements", [])]:
            yield text["text"].replace("\n", "  ")
