"""Messages to a Workflows webhook of Microsoft Teams.

The envelope: https://learn.microsoft.com/connectors/teams ("When a Teams webhook request is
received"); about 28 KB, then RequestEntityTooLarge. The card: Microsoft's own schema of Adaptive
Cards 1.5, in tests/support/schemas. Teams adds `msteams` to the card, which the schema does not
know. A TextRun says "Markdown is not supported" of its text, so a RichTextBlock is where literal
text belongs; TextBlock.text, Fact.title and Fact.value are Markdown.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator
from jsonschema.exceptions import ValidationError

from . import markdown
from .complaints import Complaints, Fields, host_of, objects

# "About 28 KB", so read it the small way.
MOST_BYTES = 28_000
CARD_TYPE = "application/vnd.microsoft.card.adaptive"
_SCHEMA = Path(__file__).parents[1] / "schemas" / "adaptive-card-1.5.json"


def complaints_about_teams(payload: object) -> list[str]:
    """Hold a message against the envelope of Workflows and the schema of the card in it."""
    found = Complaints()
    message = found.fields("", payload, required=["type", "attachments"])
    if "type" in message:
        found.one_of("type", message["type"], ["message"])
    attachments = message.get("attachments", [{}])
    for number, attachment in enumerate(found.items("attachments", attachments, most=10)):
        _attachment(found, f"attachments[{number}]", attachment)
    found.size("message", payload, below=MOST_BYTES)
    return found.said


def teams_structure(payload: Fields) -> list[str]:
    """Say what Teams reads in the texts of the cards, without their literal parts."""
    return [
        token
        for number, attachment in enumerate(payload["attachments"])
        for token in _structure(f"attachments[{number}].content", attachment["content"])
    ]


def _attachment(found: Complaints, path: str, value: object) -> None:
    attachment = found.fields(
        path, value, required=["contentType", "content"], optional=["contentUrl"]
    )
    if "contentType" in attachment:
        found.one_of(f"{path}.contentType", attachment["contentType"], [CARD_TYPE])
    if attachment.get("contentUrl") is not None:
        found.say(f"{path}.contentUrl", "null is accepted: the card is in content")
    if "content" in attachment:
        _card(found, f"{path}.content", attachment["content"])


def _card(found: Complaints, path: str, value: object) -> None:
    if not isinstance(value, Mapping):
        found.say(path, "a card is accepted")
        return
    # The schema asks for neither, because a card within a card may leave them out.
    found.one_of(f"{path}.type", value.get("type"), ["AdaptiveCard"])
    if not re.fullmatch(r"1\.[0-5]", str(value.get("version"))):
        found.say(f"{path}.version", "1.0 to 1.5 is accepted")
    if not value.get("body"):
        found.say(f"{path}.body", "required, with at least one element")
    if "msteams" in value:
        found.fields(f"{path}.msteams", value["msteams"], optional=["width", "entities"])
        found.one_of(f"{path}.msteams.width", value["msteams"].get("width", "Full"), ["Full"])
    card = {key: inner for key, inner in value.items() if key != "msteams"}
    for error in _validator().iter_errors(card):
        _explain(found, path, error)
    for at, inner in objects(path, card):
        if "url" in inner and str(inner.get("type", "")).startswith("Action."):
            found.url(f"{at}.url", inner["url"], most=2_000)


@cache
def _validator() -> Any:
    return Draft6Validator(_with_whole_words(json.loads(_SCHEMA.read_text())))


def _with_whole_words(schema: Any) -> Any:
    """Let a word be written in any case, with nothing around it.

    The schema's own patterns are not anchored, so that "not warning" passes for a colour.
    """
    if isinstance(schema, list):
        return [_with_whole_words(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    match schema.get("anyOf"):
        case [{"enum": [*words]}, {"pattern": _}]:
            return {"type": "string", "pattern": f"^(?i:{'|'.join(map(re.escape, words))})$"}
    return {key: _with_whole_words(inner) for key, inner in schema.items()}


def _explain(found: Complaints, path: str, error: ValidationError) -> None:
    """Say of a choice only what is wrong with the choice that was meant."""
    at = path + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.relative_path
    )
    if not error.context:
        accepted = ""
        if error.validator == "additionalProperties" and isinstance(error.schema, Mapping):
            accepted = f"; accepted are {', '.join(sorted(error.schema['properties']))}"
        found.say(at, error.message + accepted)
        return
    choices: dict[object, list[ValidationError]] = {}
    for inner in error.context:
        choices.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [errors for errors in choices.values() if not any(map(_is_other_kind, errors))]
    if not meant:
        kinds = sorted({str(kind) for errors in choices.values() for kind in _kinds(errors)})
        found.say(at, f"none of the accepted kinds: {', '.join(kinds)}")
        return
    for inner in min(meant, key=len):
        _explain(found, at, inner)


def _is_other_kind(error: ValidationError) -> bool:
    if error.context:
        return all(map(_is_other_kind, error.context))
    path = [*error.relative_path]
    return (error.validator == "enum" and path == ["type"]) or (
        error.validator == "type" and not path
    )


def _kinds(errors: list[ValidationError]) -> Iterator[object]:
    for error in errors:
        if error.validator == "enum" and isinstance(error.validator_value, list):
            yield from error.validator_value
        elif error.validator == "type":
            yield error.validator_value
        yield from _kinds(error.context or [])


# --- structure --------------------------------------------------------------------------------


def _structure(path: str, card: object) -> Iterator[str]:
    for at, element in objects(path, card):
        kind = str(element.get("type", "Fact" if "title" in element else "object"))
        yield f"{at}: {kind}"
        if kind == "TextRun":
            yield from (f"{at}: {token}" for token in markdown.functions(element.get("text", "")))
            shown = ("weight", "color", "italic", "strikethrough", "underline", "fontType")
            yield from (f"{at}: {name} {element[name]}" for name in shown if name in element)
        for name in _MARKDOWN.get(kind, ()):
            found = markdown.structure(str(element.get(name, "")))
            yield from (f"{at}.{name}: {token}" for token in found)
        if isinstance(element.get("url"), str):
            yield f"{at}: leads to {host_of(element['url'])}"
        for number, run in enumerate(element.get("inlines", [])):
            if isinstance(run, str):
                yield f"{at}.inlines[{number}]: TextRun"
                found = markdown.functions(run)
                yield from (f"{at}.inlines[{number}]: {token}" for token in found)


_MARKDOWN = {"TextBlock": ["text"], "Fact": ["title", "value"], "AdaptiveCard": ["fallbackText"]}
