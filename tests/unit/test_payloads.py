"""Each validator finds each kind of violation, so that its silence means something."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.payloads import (
    chatbot_structure,
    complaints_about_chatbot,
    complaints_about_event,
    complaints_about_pagerduty,
    complaints_about_slack,
    complaints_about_sns,
    complaints_about_teams,
    slack_structure,
    teams_structure,
)

type Change = Callable[[dict[str, Any]], Any]

SLACK: dict[str, Any] = {
    "text": "3 critical findings in shop/web &amp; more",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "shop/web", "emoji": True}},
        {
            "type": "section",
            "block_id": "counts",
            "text": {"type": "mrkdwn", "text": "*3 critical* <https://example.org/a?b=c|open>"},
            "fields": [{"type": "mrkdwn", "text": "*Region*\neu-west-1", "verbatim": True}],
        },
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "plain_text", "text": "scanned just now"}]},
        {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "text": {"type": "plain_text", "text": "Open"},
                    "url": "https://example.org/findings",
                    "action_id": "open",
                    "style": "danger",
                }
            ],
        },
    ],
    "attachments": [{"color": "#d00000", "fallback": "3 critical", "blocks": []}],
}
SLACK["attachments"][0]["blocks"].append(copy.deepcopy(SLACK["blocks"][2]))

TEAMS: dict[str, Any] = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.5",
                "msteams": {"width": "Full"},
                "body": [
                    {"type": "TextBlock", "text": "**3 critical**", "wrap": True, "color": "good"},
                    {
                        "type": "RichTextBlock",
                        "inlines": ["in ", {"type": "TextRun", "text": "shop/web", "italic": True}],
                    },
                    {"type": "FactSet", "facts": [{"title": "Region", "value": "eu-west-1"}]},
                ],
                "actions": [
                    {"type": "Action.OpenUrl", "title": "Open", "url": "https://example.org"}
                ],
            },
        }
    ],
}

CHATBOT: dict[str, Any] = {
    "version": "1.0",
    "source": "custom",
    "id": "1",
    "content": {
        "textType": "client-markdown",
        "title": "3 critical findings",
        "description": "In `shop/web`",
        "nextSteps": ["<https://example.org|Open>"],
        "keywords": ["critical"],
    },
    "metadata": {
        "threadId": "shop/web",
        "summary": "3 critical findings",
        "eventType": "scan",
        "relatedResources": ["arn:aws:ecr:eu-west-1:123456789012:repository/shop/web"],
        "additionalContext": {"account": "123456789012"},
        "enableCustomActions": False,
    },
}

PAGERDUTY: dict[str, Any] = {
    "routing_key": "0123456789abcdef0123456789ABCDEF",
    "event_action": "trigger",
    "dedup_key": "ecr/123456789012/eu-west-1/shop/web",
    "payload": {
        "summary": "3 critical findings",
        "source": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
        "severity": "critical",
        "timestamp": "2026-03-01T12:00:00+00:00",
        "component": "shop/web",
        "group": "eu-west-1",
        "class": "vulnerability",
        "custom_details": {"critical": 3},
    },
    "links": [{"href": "https://example.org", "text": "Open"}],
    "images": [{"src": "https://example.org/a.png"}],
    "client": "ecr-rescan",
    "client_url": "https://example.org",
}

SNS: dict[str, Any] = {
    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:findings",
    "Subject": "3 critical findings in shop/web",
    "Message": json.dumps({"default": "text", "sms": "short", "email": "text"}),
    "MessageStructure": "json",
    "MessageAttributes": {
        "severity": {"DataType": "String", "StringValue": "CRITICAL"},
        "critical": {"DataType": "Number", "StringValue": "3"},
        "tags": {"DataType": "String.Array", "StringValue": '["a", 1, true, null]'},
    },
}

EVENT: dict[str, Any] = {
    "EventBusName": "findings",
    "Source": "ecr-rescan",
    "DetailType": "Scan Finished",
    "Resources": ["arn:aws:ecr:eu-west-1:123456789012:repository/shop/web"],
    "Time": "2026-03-01T12:00:00Z",
    "Detail": {"repository": "shop/web"},
}


def card(payload: dict[str, Any]) -> dict[str, Any]:
    return payload["attachments"][0]["content"]  # type: ignore[no-any-return]


def text_of(block: int, text: str) -> Change:
    return lambda p: p["blocks"][block]["text"].update(text=text)


def button(**given: Any) -> Change:
    return lambda p: p["blocks"][4]["elements"][0].update(given)


def body(**given: Any) -> Change:
    return lambda p: card(p)["body"][0].update(given)


def content(**given: Any) -> Change:
    return lambda p: p["content"].update(given)


def metadata(**given: Any) -> Change:
    return lambda p: p["metadata"].update(given)


def alert(**given: Any) -> Change:
    return lambda p: p["payload"].update(given)


def attribute(name: str = "severity", **given: Any) -> Change:
    return lambda p: (
        p["MessageAttributes"]
        .setdefault(name, {"DataType": "String", "StringValue": "any"})
        .update(given)
    )


def section(number: int, length: int) -> dict[str, Any]:
    return {
        "type": "section",
        "block_id": f"section {number}",
        "text": {"type": "mrkdwn", "text": "x" * length},
    }


# What is done to the valid sample, and the path that the complaint must name.
VIOLATIONS: list[tuple[Callable[[Any], list[str]], dict[str, Any], Change, str]] = [
    *(
        (complaints_about_slack, SLACK, change, path)
        for change, path in [
            (lambda p: p.pop("text"), "text: required"),
            (lambda p: p.update(text=""), "text: 1 to 40000"),
            (lambda p: p.update(text=3), "text: a string"),
            (lambda p: p.update(text="a & b"), "text: write '&'"),
            (lambda p: p.update(text="a < b"), "text: write '<'"),
            (lambda p: p.update(text="a > b"), "text: write '>'"),
            (lambda p: p.update(text="<script>"), "text: '<script>'"),
            (lambda p: p.update(text="<javascript:alert|x>"), "text: '<javascript:alert|x>'"),
            (lambda p: p.update(channel="#general"), "channel: unknown"),
            (lambda p: p.update(username="bot"), "username: unknown"),
            (lambda p: p.update(icon_emoji=":x:"), "icon_emoji: unknown"),
            (lambda p: p.update(mrkdwn="no"), "mrkdwn: true or false"),
            (lambda p: p.update(blocks={}), "blocks: a list"),
            (lambda p: p.update(blocks=[]), "blocks: 1 to 50 items"),
            (lambda p: p.update(blocks=["x"]), "blocks[0]: an object"),
            (lambda p: p["blocks"].extend([{"type": "divider"}] * 46), "blocks: 1 to 50 items"),
            (lambda p: p["blocks"].extend([{"type": "divider"}] * 45), "blocks: 50 in the whole"),
            (
                lambda p: p["blocks"].extend(section(number, 2_700) for number in range(5)),
                "blocks: 13200 characters in all",
            ),
            (lambda p: p["blocks"][2].update(type="video"), "blocks[2].type: 'actions'"),
            (lambda p: p["blocks"][2].update(text="x"), "blocks[2].text: unknown"),
            (lambda p: p["blocks"][2].update(block_id="x" * 256), "blocks[2].block_id: 1 to 255"),
            (lambda p: p["blocks"][2].update(block_id="counts"), "blocks[2].block_id: unique"),
            (text_of(0, "x" * 151), "blocks[0].text.text: 1 to 150"),
            (lambda p: p["blocks"][0]["text"].update(type="mrkdwn"), "blocks[0].text.type"),
            (lambda p: p["blocks"][0]["text"].update(verbatim=True), "blocks[0].text.verbatim"),
            (lambda p: p["blocks"][0]["text"].update(emoji=1), "blocks[0].text.emoji"),
            (lambda p: p["blocks"][0].update(text="x"), "blocks[0].text: a text object"),
            (text_of(1, ""), "blocks[1].text.text: 1 to 3000"),
            (text_of(1, "x" * 3_001), "blocks[1].text.text: 1 to 3000"),
            (text_of(1, "a & b"), "blocks[1].text.text: write"),
            (lambda p: p["blocks"][1].update(fields=[]), "blocks[1].fields: 1 to 10"),
            (
                lambda p: p["blocks"][1].update(fields=p["blocks"][1]["fields"] * 11),
                "blocks[1].fields: 1 to 10",
            ),
            (
                lambda p: p["blocks"][1]["fields"][0].update(text="x" * 2_001),
                "blocks[1].fields[0].text: 1 to 2000",
            ),
            (
                lambda p: [p["blocks"][1].pop(name) for name in ("text", "fields")],
                "blocks[1]: text or fields",
            ),
            (lambda p: p["blocks"][1].update(accessory={"type": "x"}), "blocks[1].accessory.type"),
            (
                lambda p: p["blocks"][1].update(accessory={"type": "image", "image_url": "x"}),
                "blocks[1].accessory.alt_text: required",
            ),
            (lambda p: p["blocks"][1].update(expand=1), "blocks[1].expand"),
            (
                lambda p: p["blocks"][3].update(elements=p["blocks"][3]["elements"] * 11),
                "blocks[3].elements: 1 to 10",
            ),
            (lambda p: p["blocks"][3].update(elements=["x"]), "blocks[3].elements[0]: a text"),
            (
                lambda p: p["blocks"][4].update(elements=p["blocks"][4]["elements"] * 26),
                "blocks[4].elements: 1 to 25",
            ),
            (
                lambda p: p["blocks"][4].update(elements=p["blocks"][4]["elements"] * 2),
                "blocks[4].elements[1].action_id: unique",
            ),
            (lambda p: p["blocks"][4].update(elements=["x"]), "blocks[4].elements[0]: an element"),
            (button(type="checkboxes"), "blocks[4].elements[0].type"),
            (button(text="Open"), "blocks[4].elements[0].text: a text object"),
            (button(text={"type": "plain_text", "text": "x" * 76}), "text.text: 1 to 75"),
            (button(url="javascript:alert(1)"), "blocks[4].elements[0].url: an http"),
            (button(url="https://example.org/" + "x" * 3_000), "elements[0].url: 1 to 3000"),
            (button(action_id="x" * 256), "elements[0].action_id: 1 to 255"),
            (button(style="good"), "elements[0].style: 'primary' or 'danger'"),
            (button(colour="red"), "elements[0].colour: unknown"),
            (lambda p: p["attachments"][0].update(color="red"), "attachments[0].color: good"),
            (lambda p: p["attachments"][0].update(title="x"), "attachments[0].title: unknown"),
            (
                lambda p: p["attachments"][0]["blocks"][0].update(type="x"),
                "attachments[0].blocks[0].type",
            ),
            (lambda p: p.update(attachments=[{}]), "attachments[0]: blocks, text or fallback"),
            (lambda p: p["attachments"][0].update(text="a & b"), "attachments[0].text: write '&'"),
        ]
    ),
    *(
        (complaints_about_teams, TEAMS, change, path)
        for change, path in [
            (lambda p: p.update(type="card"), "type: 'message'"),
            (lambda p: p.update(text="x"), "text: unknown"),
            (lambda p: p.pop("attachments"), "attachments: required"),
            (lambda p: p.update(attachments=[]), "attachments: 1 to 10"),
            (lambda p: p["attachments"][0].update(contentType="x"), "attachments[0].contentType"),
            (lambda p: p["attachments"][0].update(contentUrl="x"), "attachments[0].contentUrl"),
            (lambda p: p["attachments"][0].pop("content"), "attachments[0].content: required"),
            (lambda p: p["attachments"][0].update(content="x"), "content: a card"),
            (lambda p: card(p).update(type="MessageCard"), "content.type: 'AdaptiveCard'"),
            (lambda p: card(p).update(version="1.6"), "content.version: 1.0 to 1.5"),
            (lambda p: card(p).pop("version"), "content.version: 1.0 to 1.5"),
            (lambda p: card(p).update(body=[]), "content.body: required"),
            (lambda p: card(p).update(summary="x"), "content: Additional properties"),
            (lambda p: card(p)["msteams"].update(width="wide"), "content.msteams.width: 'Full'"),
            (lambda p: card(p)["msteams"].update(style="x"), "content.msteams.style: unknown"),
            (body(type="Text"), "content.body[0]: none of the accepted kinds: ActionSet"),
            (body(text=3), "content.body[0].text: 3 is not of type 'string'"),
            (body(colour="good"), "content.body[0]: Additional properties"),
            (body(color="not warning"), "content.body[0].color: 'not warning'"),
            (body(size="Huge"), "content.body[0].size: 'Huge'"),
            (lambda p: card(p)["body"][0].pop("text"), "body[0]: 'text' is a required"),
            (lambda p: card(p)["body"][0].pop("type"), "body[0]: 'type' is a required"),
            (
                lambda p: card(p)["body"][1]["inlines"][1].update(bold=True),
                "body[1].inlines[1]: Additional properties",
            ),
            (
                lambda p: card(p)["body"][1]["inlines"][1].pop("type"),
                "body[1].inlines[1]: 'type' is a required",
            ),
            (
                lambda p: card(p)["body"][2]["facts"][0].pop("value"),
                "body[2].facts[0]: 'value' is a required",
            ),
            (
                lambda p: card(p)["actions"][0].update(url="javascript:alert(1)"),
                "content.actions[0].url: an http",
            ),
            (lambda p: card(p)["actions"][0].pop("url"), "actions[0]: 'url' is a required"),
            (body(text="é" * 15_000), "message: less than 28000 bytes"),
        ]
    ),
    *(
        (complaints_about_chatbot, CHATBOT, change, path)
        for change, path in [
            (lambda p: p.pop("version"), "version: required"),
            (lambda p: p.update(version="2.0"), "version: '1.0'"),
            (lambda p: p.update(source="aws.ecr"), "source: 'custom'"),
            (lambda p: p.update(id=1), "id: a string"),
            (lambda p: p.update(detail={}), "detail: unknown"),
            (lambda p: p.pop("content"), "content: required"),
            (lambda p: p["content"].pop("description"), "content.description: required"),
            (content(description=""), "content.description: 1 to 8000"),
            (content(description="x" * 8_001), "content.description: 1 to 8000"),
            (content(title="x" * 251), "content.title: 1 to 250"),
            (content(textType="plain"), "content.textType: 'client-markdown'"),
            (content(nextSteps="x"), "content.nextSteps: a list"),
            (content(nextSteps=["x" * 351]), "content.nextSteps[0]: 1 to 350"),
            (content(keywords=["x" * 76]), "content.keywords[0]: 1 to 75"),
            (content(color="red"), "content.color: unknown"),
            (metadata(threadId=3), "metadata.threadId: a string"),
            (metadata(relatedResources=[3]), "metadata.relatedResources[0]: a string"),
            (metadata(additionalContext={"a": 3}), "metadata.additionalContext.a: a string"),
            (metadata(additionalContext=[]), "metadata.additionalContext: an object"),
            (metadata(enableCustomActions="no"), "metadata.enableCustomActions: true or false"),
            (metadata(severity="x"), "metadata.severity: unknown"),
            (content(nextSteps=["x" * 350] * 800), "notification: less than 262144 bytes"),
        ]
    ),
    *(
        (complaints_about_pagerduty, PAGERDUTY, change, path)
        for change, path in [
            (lambda p: p.pop("routing_key"), "routing_key: required"),
            (lambda p: p.update(routing_key="x"), "routing_key: 32"),
            (lambda p: p.pop("event_action"), "event_action: required"),
            (lambda p: p.update(event_action="close"), "event_action: 'trigger'"),
            (lambda p: p.pop("payload"), "payload: required to trigger"),
            (
                lambda p: [p.update(event_action="resolve"), p.pop("dedup_key")],
                "dedup_key: required to resolve",
            ),
            (lambda p: p.update(dedup_key="x" * 256), "dedup_key: 1 to 255"),
            (lambda p: p.update(severity="x"), "severity: unknown"),
            (lambda p: p.update(client=3), "client: a string"),
            (lambda p: p.update(client_url="x"), "client_url: an http"),
            (lambda p: p["payload"].pop("summary"), "payload.summary: required"),
            (alert(summary="x" * 1_025), "payload.summary: 1 to 1024"),
            (alert(source=""), "payload.source: 1 to"),
            (alert(severity="high"), "payload.severity: 'critical'"),
            (alert(timestamp="yesterday"), "payload.timestamp: an ISO 8601"),
            (alert(timestamp="2026-13-01T12:00:00Z"), "payload.timestamp: an ISO 8601"),
            (alert(timestamp="2026-03-01T12:00:00"), "payload.timestamp: an ISO 8601"),
            (alert(custom_details="x"), "payload.custom_details: an object"),
            (alert(detail="x"), "payload.detail: unknown"),
            (lambda p: p["links"][0].pop("href"), "links[0].href: required"),
            (lambda p: p["links"][0].update(href="javascript:x"), "links[0].href: an http"),
            (lambda p: p["links"][0].update(text=3), "links[0].text: a string"),
            (lambda p: p["links"][0].update(alt="x"), "links[0].alt: unknown"),
            (lambda p: p["images"][0].update(src="http://x"), "images[0].src: an https"),
            (alert(custom_details={"a": "é" * 260_000}), "event: less than 512000 bytes"),
            (alert(custom_details={"a": float("nan")}), "event: only what JSON can say"),
        ]
    ),
    *(
        (complaints_about_sns, SNS, change, path)
        for change, path in [
            (lambda p: p.pop("Message"), "Message: required"),
            (lambda p: p.update(Message=""), "Message: 1 to"),
            (lambda p: p.update(TopicArn="findings"), "TopicArn: the ARN"),
            (lambda p: p.update(PhoneNumber="+1"), "PhoneNumber: unknown"),
            (lambda p: p.update(Subject="x" * 100), "Subject: 1 to 99"),
            (lambda p: p.update(Subject="a\nb"), "Subject: printable ASCII"),
            (lambda p: p.update(Subject="a\tb"), "Subject: printable ASCII"),
            (lambda p: p.update(Subject="größer"), "Subject: printable ASCII"),
            (lambda p: p.update(Subject=" x"), "Subject: a letter"),
            (lambda p: p.update(MessageStructure="xml"), "MessageStructure: 'json'"),
            (lambda p: p.update(Message="text"), "Message: valid JSON"),
            (lambda p: p.update(Message="[]"), "Message: an object"),
            (lambda p: p.update(Message="{}"), "Message.default: required"),
            (lambda p: p.update(Message='{"default": 3}'), "Message.default: a string"),
            (lambda p: p.update(Message='{"default": "x", "fax": "x"}'), "Message.fax: unknown"),
            (
                lambda p: p.update(Message=json.dumps({"default": "x", "sms": "x" * 141})),
                "Message.sms: 1 to 140",
            ),
            (
                lambda p: p.update(Message=json.dumps({"default": "x" * 262_100})),
                "Message: 262144 bytes",
            ),
            (lambda p: p.update(MessageAttributes=[]), "MessageAttributes: an object"),
            (
                lambda p: [attribute(f"a{number}")(p) for number in range(8)],
                "MessageAttributes: 10",
            ),
            (attribute("re pository"), "MessageAttributes.re pository: 1 to 256"),
            (attribute("a..b"), "MessageAttributes.a..b: 1 to 256"),
            (attribute("x" * 257), ": 1 to 256"),
            (attribute("Aws.a"), "MessageAttributes.Aws.a: a name"),
            (attribute("AMAZON.a"), "MessageAttributes.AMAZON.a: a name"),
            (attribute(DataType="Text"), "severity.DataType: 'String'"),
            (attribute(StringValue=""), "severity.StringValue: 1 to"),
            (attribute(DataType="Number"), "severity.StringValue: a number"),
            (attribute(DataType="String.Array"), "severity.StringValue: a JSON array"),
            (attribute("tags", StringValue="[[]]"), "tags.StringValue: a JSON array"),
            (attribute(BinaryValue=b""), "severity.BinaryValue: unknown"),
        ]
    ),
    *(
        (complaints_about_event, EVENT, change, path)
        for change, path in [
            (lambda p: p.pop("Source"), "Source: required"),
            (lambda p: p.pop("Detail"), "Detail: required"),
            (lambda p: p.update(Source=""), "Source: 1 to"),
            (lambda p: p.update(Source="aws.ecr"), "Source: only AWS"),
            (lambda p: p.update(DetailType="x" * 129), "DetailType: 1 to 128"),
            (lambda p: p.update(Detail="text"), "Detail: valid JSON"),
            (lambda p: p.update(Detail=[]), "Detail: an object"),
            (lambda p: p.update(Detail={"a": float("nan")}), "Detail: only what JSON can say"),
            (lambda p: p.update(Detail={"a": "é" * 131_072}), "entry: less than 262144"),
            (lambda p: p.update(Resources="arn"), "Resources: a list"),
            (lambda p: p.update(Resources=["shop/web"]), "Resources[0]: an ARN"),
            (lambda p: p.update(Version="1"), "Version: unknown"),
        ]
    ),
]
SAMPLES = [
    (complaints_about_slack, SLACK),
    (complaints_about_teams, TEAMS),
    (complaints_about_chatbot, CHATBOT),
    (complaints_about_pagerduty, PAGERDUTY),
    (complaints_about_sns, SNS),
    (complaints_about_event, EVENT),
]


@pytest.mark.parametrize(("complaints", "sample"), SAMPLES)
def test_accepts_what_the_channel_accepts(
    complaints: Callable[[Any], list[str]], sample: dict[str, Any]
) -> None:
    assert complaints(sample) == []


@pytest.mark.parametrize(("complaints", "sample"), SAMPLES)
def test_refuses_what_is_no_object(
    complaints: Callable[[Any], list[str]], sample: dict[str, Any]
) -> None:
    assert complaints([sample]) != []


@pytest.mark.parametrize(("complaints", "sample", "change", "expected"), VIOLATIONS)
def test_names_the_place_of_a_violation(
    complaints: Callable[[Any], list[str]], sample: dict[str, Any], change: Change, expected: str
) -> None:
    payload = copy.deepcopy(sample)
    change(payload)
    found = complaints(payload)
    assert any(expected in complaint for complaint in found), found


def test_takes_an_alert_that_has_no_key_yet() -> None:
    keyless = {name: value for name, value in PAGERDUTY.items() if name != "routing_key"}
    assert complaints_about_pagerduty(keyless, with_key=False) == []
    assert complaints_about_pagerduty(PAGERDUTY, with_key=False) != []


def test_takes_the_detail_of_an_event_as_text() -> None:
    assert complaints_about_event(EVENT | {"Detail": json.dumps(EVENT["Detail"])}) == []


# A text that a hostile hand wrote, and whether Slack and Teams read more in it than text.
HOSTILE = [
    ("harmless-1.2", False, False),
    ("<!channel>", True, True),
    ("<@U0123ABC>", True, False),
    ("<#C0123ABC>", True, False),
    ("<https://evil.example|click>", True, True),
    ("https://evil.example", True, True),
    ("evil.example.com", True, False),
    ("@here", True, False),
    ("#general", True, False),
    ("*bold*", True, True),
    ("_italic_", True, True),
    ("~gone~", True, False),
    ("**bold**", False, True),
    ("snake_case_name", False, False),
    ("`code`", True, True),
    ("a ` b", True, False),
    ("```pre```", True, True),
    ("[text](https://evil.example)", True, True),
    ("a\nb", True, True),
    ("a\n> b", True, True),
    ("a\n&gt; b", True, True),
    ("a\n- b", True, True),
    ("a\n1. b", True, True),
    ("a\n\n# b", True, True),
    (":rotating_light:", True, False),
    ("12:30:45", False, False),
    ("<at>somebody</at>", True, True),
    ("<b>", True, True),
    ("&lt;", False, True),
    ("\\*literal\\*", True, False),
    ("{{DATE(2026-03-01T12:00:00Z, SHORT)}}", False, True),
]


@pytest.mark.parametrize(("text", "in_slack", "in_teams"), HOSTILE)
def test_tells_structure_from_literal_text(text: str, in_slack: bool, in_teams: bool) -> None:
    def slack(value: str) -> list[str]:
        block = {"type": "section", "text": {"type": "mrkdwn", "text": f"*Tag* {value}"}}
        return slack_structure({"text": "any", "blocks": [block]})

    def teams(value: str) -> list[str]:
        block = {"type": "TextBlock", "text": f"**Tag** {value}"}
        return teams_structure({"attachments": [{"content": {"body": [block]}}]})

    def chatbot(value: str) -> list[str]:
        return chatbot_structure({"content": {"description": f"*Tag* {value}"}})

    assert (slack(text) != slack("harmless")) == in_slack
    assert (teams(text) != teams("harmless")) == in_teams
    assert (chatbot(text) != chatbot("harmless")) == (in_slack or in_teams)


@pytest.mark.parametrize("text", [text for text, _, _ in HOSTILE if "DATE(" not in text])
def test_takes_a_run_of_text_as_it_stands(text: str) -> None:
    def structure(value: str) -> list[str]:
        block = {"type": "RichTextBlock", "inlines": [value, {"type": "TextRun", "text": value}]}
        return teams_structure({"attachments": [{"content": {"body": [block]}}]})

    assert structure(text) == structure("harmless")


def test_finds_the_functions_that_even_a_run_of_text_calls() -> None:
    block = {"type": "RichTextBlock", "inlines": ["{{TIME(2026-03-01T12:00:00Z)}}"]}
    found = teams_structure({"attachments": [{"content": {"body": [block]}}]})
    assert any(token.endswith("function") for token in found)


def test_reads_every_text_of_a_slack_message() -> None:
    found = slack_structure(SLACK)
    assert "blocks[1].text: bold" in found
    assert "blocks[1].text: link https://example.org" in found
    assert "blocks[1].fields[0]: bold" in found
    assert "blocks[4].elements[0]: button to https://example.org" in found
    assert "attachments[0].blocks[0]: divider" in found


def test_finds_mentions_within_code() -> None:
    assert "text: mention <!here>" in slack_structure({"text": "`<!here>`"})


def test_leaves_names_alone_where_slack_is_told_to() -> None:
    block = {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": "README.md @here", "verbatim": True}],
    }
    found = slack_structure({"text": "any", "blocks": [block]})
    assert [token for token in found if "elements" in token] == ["blocks[0].elements[0]: 1 lines"]


def test_takes_a_notification_of_nothing_but_a_description() -> None:
    bare = {"version": "1.0", "source": "custom", "content": {"description": "In shop/web"}}
    assert complaints_about_chatbot(bare) == []
    assert chatbot_structure(bare) == [
        "content.description in Slack: 1 lines",
        "content.description in Teams: paragraph",
    ]


def test_takes_the_text_of_a_rich_text_block_as_it_stands() -> None:
    def structure(value: str) -> list[str]:
        text = {"type": "text", "text": value, "style": {"bold": True}}
        link = {"type": "link", "url": "https://example.org/any"}
        row = {"type": "rich_text_section", "elements": [text, link]}
        message = {"text": "any", "blocks": [{"type": "rich_text", "elements": [row]}]}
        assert complaints_about_slack(message) == []
        return slack_structure(message)

    assert structure("<!here> *x*") == structure("harmless")
    assert any(token.endswith("link to https://example.org") for token in structure("any"))


def test_reads_the_texts_of_attachments() -> None:
    message = {"text": "any", "attachments": [{"text": "*x* <!here>"}]}
    assert complaints_about_slack(message) == []
    assert slack_structure(message) == [
        "text: 1 lines",
        "attachments[0]: attachment",
        "attachments[0].pretext: 1 lines",
        "attachments[0].text: 1 lines",
        "attachments[0].text: mention <!here>",
        "attachments[0].text: bold",
    ]
