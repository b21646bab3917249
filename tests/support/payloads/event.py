"""Entries of EventBridge PutEvents.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html; how the
size counts: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html. The
limit is 1 MB today and was 256 KB: the stricter one holds here.
"""

import json
import re
from collections.abc import Mapping

from .complaints import Complaints, size_of

MOST_BYTES = 262_144


def complaints_about_event(entry: object) -> list[str]:
    """Hold an entry against the API; its Detail is an object, or the text of one."""
    found = Complaints()
    fields = found.fields(
        "",
        entry,
        required=["Source", "DetailType", "Detail"],
        optional=["EventBusName", "Resources", "Time", "TraceHeader"],
    )
    for name, most in (("Source", 256), ("DetailType", 128), ("EventBusName", 1_600)):
        if name in fields:
            found.text(name, fields[name], most=most)
    if str(fields.get("Source", "")).startswith("aws."):
        found.say("Source", "only AWS may begin it with aws.")
    resources = found.items("Resources", fields.get("Resources", []), most=1_000, least=0)
    for number, arn in enumerate(resources):
        if not re.match(r"arn:aws[\w-]*:[\w-]+:", str(arn)):
            found.say(f"Resources[{number}]", "an ARN is accepted")
    detail = _detail(found, fields.get("Detail", {}))
    texts = [fields.get("Source", ""), fields.get("DetailType", ""), *resources]
    taken = detail + sum(len(str(text).encode()) for text in texts) + 14 * ("Time" in fields)
    if taken >= MOST_BYTES:
        found.say("entry", f"less than {MOST_BYTES} bytes are accepted, not {taken}")
    return found.said


def _detail(found: Complaints, value: object) -> int:
    """Check the detail and count its bytes."""
    detail = value
    if isinstance(value, str):
        try:
            detail = json.loads(value)
        except ValueError as problem:
            found.say("Detail", f"valid JSON is accepted: {problem}")
            return 0
    if not isinstance(detail, Mapping):
        found.say("Detail", "an object is accepted")
        return 0
    try:
        return len(value.encode()) if isinstance(value, str) else size_of(detail)
    except (TypeError, ValueError) as problem:
        found.say("Detail", f"only what JSON can say is accepted: {problem}")
        return 0
