"""Custom notifications of Amazon Q Developer in chat applications.

https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html, "Event schema" and
"Parameter details", read from stored copies of the page:

- `version` must be 1.0 and `source` must be custom; `content.description` is the only other field
  that is required. A message that does not fit is dropped: the log of the channel says "Event
  received is not supported", and the publisher hears nothing
  (https://github.com/aws-amplify/amplify-hosting/issues/943).
- `textType`: "Only client-markdown textType is currently supported", and it means the Markdown of
  the *target* chat: one text is read as mrkdwn by Slack and as Markdown by Teams.
- Lengths: title 250, description 8,000, each of nextSteps 350, each of keywords 75 characters. The
  stored copies of the page end before them; they are as a public client quotes that page. How
  many nextSteps and keywords may be given, and how long the metadata may be: not found.
- nextSteps become a bulleted list and are Markdown; keywords become inline tags.
- `metadata` groups by `threadId`, shows `summary` at the top of a thread, and takes
  `enableCustomActions` (true unless given). Its `additionalContext` is string to string.
- No way to escape is documented, and AWS's samples use `<https://…|text>` and `@name`: what the
  chat reads is what was sent. Text that is safe in both chats is all that there is.
"""

from collections.abc import Iterator, Mapping

from . import markdown, mrkdwn
from .complaints import Complaints, Fields

MOST_DESCRIPTION = 8_000
MOST_TITLE = 250
MOST_NEXT_STEP = 350
MOST_KEYWORD = 75
# SNS carries no more, even if the fields allow it.
_MOST_METADATA = 8_000
_MOST_BYTES = 262_144


def complaints_about_chatbot(payload: object) -> list[str]:
    """Hold a custom notification against AWS's schema."""
    found = Complaints()
    notification = found.fields(
        "", payload, required=["version", "source", "content"], optional=["id", "metadata"]
    )
    for name, accepted in (("version", "1.0"), ("source", "custom")):
        if name in notification:
            found.one_of(name, notification[name], [accepted])
    if "id" in notification:
        found.text("id", notification["id"], most=_MOST_METADATA)
    if "content" in notification:
        _content(found, notification["content"])
    if "metadata" in notification:
        _metadata(found, notification["metadata"])
    found.size("notification", payload, below=_MOST_BYTES)
    return found.said


def chatbot_structure(payload: Fields) -> list[str]:
    """Say what Slack and Teams read in the texts, without their literal parts."""
    return [
        f"{path} in {chat}: {token}"
        for path, text in _texts(payload)
        for chat, found in (
            ("Slack", mrkdwn.structure(text)),
            ("Teams", markdown.structure(text)),
        )
        for token in found
    ]


def _content(found: Complaints, value: object) -> None:
    content = found.fields(
        "content",
        value,
        required=["description"],
        optional=["textType", "title", "nextSteps", "keywords"],
    )
    if "textType" in content:
        found.one_of("content.textType", content["textType"], ["client-markdown"])
    for name, most in (("title", MOST_TITLE), ("description", MOST_DESCRIPTION)):
        if name in content:
            found.text(f"content.{name}", content[name], most=most)
    for name, most in (("nextSteps", MOST_NEXT_STEP), ("keywords", MOST_KEYWORD)):
        if name in content:
            _strings(found, f"content.{name}", content[name], most=most)


def _metadata(found: Complaints, value: object) -> None:
    texts = ["threadId", "summary", "eventType"]
    known = [*texts, "relatedResources", "additionalContext", "enableCustomActions"]
    metadata = found.fields("metadata", value, optional=known)
    for name in texts:
        if name in metadata:
            found.text(f"metadata.{name}", metadata[name], most=_MOST_METADATA)
    if "relatedResources" in metadata:
        path = "metadata.relatedResources"
        _strings(found, path, metadata["relatedResources"], most=_MOST_METADATA)
    if "enableCustomActions" in metadata:
        found.boolean("metadata.enableCustomActions", metadata["enableCustomActions"])
    if "additionalContext" in metadata:
        context = metadata["additionalContext"]
        if not isinstance(context, Mapping):
            found.say("metadata.additionalContext", "an object is accepted")
            return
        for key, inner in context.items():
            found.text(f"metadata.additionalContext.{key}", inner, most=_MOST_METADATA, least=0)


def _strings(found: Complaints, path: str, value: object, *, most: int) -> None:
    for number, text in enumerate(found.items(path, value, most=1_000, least=0)):
        found.text(f"{path}[{number}]", text, most=most)


def _texts(payload: Fields) -> Iterator[tuple[str, str]]:
    content, metadata = payload["content"], payload.get("metadata", {})
    for name in ("title", "description"):
        if name in content:
            yield f"content.{name}", content[name]
    for name in ("nextSteps", "keywords"):
        for number, text in enumerate(content.get(name, [])):
            yield f"content.{name}[{number}]", text
    if "summary" in metadata:
        yield "metadata.summary", metadata["summary"]
