"""One HTML page with all received messages, each as its receiver shows it."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from local.page.elements import box, element, link, span, with_breaks
from local.page.overview import json_of, overview, reports_in, slack_title
from local.page.slack_rendering import mrkdwn, slack_message
from local.page.teams_rendering import teams_message
from local.receivers.inbox import Channel, Received
from local.receivers.subscribers import BusEvent, Delivered, Email, TextMessage, TopicMessage

# Even if escaping failed, no message could make the page load or run anything.
CONTENT_POLICY = element(
    "meta",
    http_equiv="Content-Security-Policy",
    content="default-src 'none'; style-src 'unsafe-inline'",
)
# An SMS has room for 160 of these characters: https://www.3gpp.org/dynareport/23038.htm
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_OF_TWO = frozenset("^{}\\[~]|€")


@dataclass(frozen=True)
class _Section:
    """The rendered messages of one kind of receiver, and the anchor of the section."""

    anchor: str
    title: str
    about: str
    messages: Sequence[Markup]


def page(
    requests: Iterable[Received] = (),
    delivered: Delivered | None = None,
    *,
    only: Collection[str] | None = None,
) -> str:
    """Render what the inbox and the subscribers received, or only sections with these anchors.

    The anchors are slack, teams, email, sms, pagerduty, chatbot, webhook, queue and events. The
    page loads no other files.
    """
    requests, delivered = tuple(requests), delivered or Delivered()
    sections = [
        section
        for section in _sections(requests, delivered)
        if (section.anchor in only if only is not None else section.messages)
    ]
    whole = "Inbox: the notifications of all runs, as their receivers show them"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        CONTENT_POLICY,
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", whole),
        element("style", _style()),
    )
    top: str = ""
    if only is None:
        stories = overview(reports_in(requests, delivered), _anchors(requests))
        top = element("header", element("h1", whole), stories, _navigation(sections))
    content = [_section(section) for section in sections]
    if not content:
        content = [element("p", "Nothing was received.")]
    body = element("body", top, element("main", *content))
    html = f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
    return html.encode(errors="replace").decode()  # JSON may contain unpaired surrogates


def _style() -> Markup:
    return Markup(Path(__file__).with_suffix(".css").read_text())  # noqa: S704 # a file of this package


def _sections(requests: Sequence[Received], delivered: Delivered) -> list[_Section]:
    def posts(channel: Channel, draw: Callable[[Received], Markup]) -> list[Markup]:
        return [_posted(request, draw, anchor) for anchor, request in _in_order(requests, channel)]

    return [
        _Section(
            "slack",
            "Slack",
            "Drawn from the Block Kit that was posted to an incoming webhook.",
            posts("slack", lambda request: slack_message(request.json)),
        ),
        _Section(
            "teams",
            "Microsoft Teams",
            "Drawn from the Adaptive Card that was posted to a workflow.",
            posts("teams", lambda request: teams_message(request.json)),
        ),
        _Section(
            "email",
            "Email",
            "From the SNS topic. AWS adds a line with the link to unsubscribe.",
            [_email(email) for email in delivered.emails],
        ),
        _Section(
            "sms",
            "SMS",
            "From the SNS topic.",
            [_sms(message) for message in delivered.text_messages],
        ),
        _Section(
            "pagerduty",
            "PagerDuty",
            "Events that were sent to the Events API v2.",
            posts("pagerduty", lambda request: _pagerduty(request.json)),
        ),
        _Section(
            "chatbot",
            "Amazon Q Developer",
            "Custom notifications for Amazon Q Developer in chat applications, from its SNS topic.",
            [_chatbot(message) for message in delivered.chatbot_messages],
        ),
        _Section(
            "webhook",
            "Webhook",
            "Requests to your own receiver: the headers and the report.",
            posts("webhook", _webhook),
        ),
        _Section(
            "queue",
            "SQS queue",
            "From the SNS topic, with the attributes by which a subscription can filter.",
            [_queued(message) for message in delivered.topic_messages],
        ),
        _Section(
            "events",
            "EventBridge",
            "Events that a rule on the bus matched.",
            [_event(event) for event in delivered.events],
        ),
    ]


def _in_order(requests: Iterable[Received], channel: Channel) -> list[tuple[str, Received]]:
    """Sort the requests to a channel by time, each with an anchor of its own."""
    ours = [request for request in requests if request.channel == channel]
    ours.sort(key=lambda request: request.received_at)
    return [(f"{channel}-{number}", request) for number, request in enumerate(ours, 1)]


def _anchors(requests: Iterable[Received]) -> Mapping[str, Sequence[str]]:
    """Map the titles of messages to the anchors at which Slack's are drawn, in their order."""
    anchors: defaultdict[str, list[str]] = defaultdict(list)
    for anchor, request in _in_order(requests, "slack"):
        if request.is_accepted:
            anchors[slack_title(request.json)].append(anchor)
    return anchors


def _navigation(sections: Iterable[_Section]) -> Markup:
    return element(
        "nav",
        *(
            element(
                "a",
                section.title,
                " ",
                element("b", str(len(section.messages))),
                href=f"#{section.anchor}",
            )
            for section in sections
        ),
    )


def _section(section: _Section) -> Markup:
    messages = section.messages or [element("p", "Nothing was received.")]
    return element(
        "section",
        element("h2", section.title),
        box("about", section.about),
        *messages,
        id=section.anchor,
    )


def _posted(request: Received, draw: Callable[[Received], Markup], anchor: str) -> Markup:
    """Render a request; mark one that its receiver refused."""
    content = draw(request) if request.json is not None else _raw(request.body)
    if request.is_accepted:
        return element(
            "div", _envelope("", request.received_at), content, class_="message", id=anchor
        )
    refusal = f"refused: {request.answer.status} {request.answer.body.decode(errors='replace')}"
    envelope = _envelope("", request.received_at, span("badge bad", refusal.strip()))
    shown = element("details", element("summary", "not shown by the receiver"), content)
    return box("message refused", envelope, shown)


def _email(email: Email) -> Markup:
    return _message(
        _envelope(f"to {email.address}", email.received_at),
        box("subject", email.subject),
        box("mail", email.text),
    )


def _sms(message: TextMessage) -> Markup:
    length = f"{len(message.text)} characters, {_counted(sms_parts(message.text), 'part')}"
    return _message(
        _envelope(f"to {message.number}", None, span("badge", length)),
        box("bubble", message.text),
    )


def sms_parts(text: str) -> int:
    """Return the number of parts of a text message, each of which is billed."""
    if all(character in _GSM or character in _GSM_OF_TWO for character in text):
        length = sum(2 if character in _GSM_OF_TWO else 1 for character in text)
        alone, one_of_many = 160, 153
    else:
        length = len(text.encode("utf-16-le")) // 2
        alone, one_of_many = 70, 67
    return 1 if length <= alone else -(-length // one_of_many)


def _pagerduty(event: Any) -> Markup:
    event = _mapping(event)
    payload = _mapping(event.get("payload"))
    severity = str(payload.get("severity", ""))
    known = severity if severity in {"critical", "error", "warning", "info"} else ""
    facts = {
        name: payload[name]
        for name in ("source", "component", "group", "class", "timestamp")
        if payload.get(name)
    }
    facts |= {name: event[name] for name in ("dedup_key", "client") if event.get(name)}
    links = [_mapping(each) for each in _sequence(event.get("links"))]
    details = payload.get("custom_details")
    return _together(
        box(
            "envelope",
            span("badge", str(event.get("event_action", ""))),
            span(f"badge {known}", severity) if severity else "",
            element("b", str(payload.get("summary", ""))),
        ),
        _facts(facts),
        _json(details) if details else "",
        Markup(" · ").join(
            link(each.get("href"), str(each.get("text") or each.get("href"))) for each in links
        ),
    )


def _chatbot(message: TopicMessage) -> Markup:
    notification = _mapping(json_of(message.text))
    content = _mapping(notification.get("content"))
    metadata = _mapping(notification.get("metadata"))
    if not content:
        return _message(_envelope("", message.received_at), _raw(message.text.encode()))
    steps = [element("li", mrkdwn(str(step))) for step in _sequence(content.get("nextSteps"))]
    keywords = [span("badge", str(word)) for word in _sequence(content.get("keywords"))]
    return _message(
        _envelope("", message.received_at),
        box(
            "slack",
            box("slack-header", str(content.get("title", ""))),
            box("slack-section", mrkdwn(str(content.get("description", "")))),
            _together(element("b", "Next steps"), element("ul", *steps)) if steps else "",
            box("slack-context", Markup(" ").join(keywords)) if keywords else "",
        ),
        _facts({name: value for name, value in metadata.items() if value}),
    )


def _webhook(request: Received) -> Markup:
    usual = {"accept-encoding", "connection", "content-length", "host"}
    headers = {name: value for name, value in request.headers.items() if name not in usual}
    return _together(_facts(headers), _json(request.json))


def _queued(message: TopicMessage) -> Markup:
    read = json_of(message.text)
    text = box("mail", message.text) if isinstance(read, str) or read is None else _json(read)
    subject = box("subject", message.subject) if message.subject else ""
    return _message(
        _envelope(message.topic_arn.rpartition(":")[2], message.received_at),
        subject,
        _facts(message.attributes),
        text,
    )


def _event(event: BusEvent) -> Markup:
    return _message(
        _envelope("", event.received_at, element("b", event.detail_type)),
        _facts({"source": event.source, "bus": event.bus, "resources": "\n".join(event.resources)}),
        _json(event.detail),
    )


def _together(*parts: str) -> Markup:
    return Markup().join(parts)


def _message(*parts: str) -> Markup:
    return box("message", *parts)


def _envelope(who: str, when: datetime | None, *more: str) -> Markup:
    time = span("time", f"{when.astimezone(UTC):%H:%M:%S} UTC") if when else ""
    return box("envelope", *more, span("who", who) if who else "", time)


def _facts(facts: Mapping[str, object]) -> Markup:
    rows = [
        element("tr", element("th", name), element("td", with_breaks(_said(value))))
        for name, value in facts.items()
    ]
    return element("table", *rows) if rows else Markup()


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(content: object) -> Markup:
    """Render JSON, folded, because a report has dozens of lines."""
    title = content.get("title") if isinstance(content, dict) else None
    summary = f"{title} (JSON)" if isinstance(title, str) else "JSON"
    text = element("pre", json.dumps(content, indent=2, ensure_ascii=False))
    return element("details", element("summary", summary), text)


def _raw(body: bytes) -> Markup:
    return element("pre", escape(body.decode(errors="replace")), class_="undrawn")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else noun + 's'}"
