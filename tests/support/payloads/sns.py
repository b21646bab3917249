"""Parameters of SNS Publish to a topic.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html. The latter notes: "Message
attributes are sent only when the message structure is String, not JSON."
A subject may be UTF-8 today; older copies of the reference say ASCII that begins with a letter,
number or punctuation mark, and that holds here, for subscribers that were made by them.
"""

import json
import re
from collections.abc import Mapping

from .complaints import Complaints

MOST_BYTES = 262_144
MOST_SMS = 140
_PROTOCOLS = [
    "default",
    "email",
    "email-json",
    "http",
    "https",
    "sms",
    "sqs",
    "lambda",
    "application",
    "firehose",
]


def complaints_about_sns(publish: object) -> list[str]:
    """Hold the parameters of a Publish against what SNS and its subscribers accept."""
    found = Complaints()
    parameters = found.fields(
        "",
        publish,
        required=["TopicArn", "Message"],
        optional=[
            "Subject",
            "MessageStructure",
            "MessageAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
        ],
    )
    arn = str(parameters.get("TopicArn", "arn:aws:sns:eu-west-1:123456789012:any"))
    if not re.fullmatch(r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:[\w-]{1,256}(?:\.fifo)?", arn):
        found.say("TopicArn", "the ARN of a topic is accepted")
    if "Subject" in parameters:
        _subject(found, parameters["Subject"])
    message = parameters.get("Message", "any")
    if found.text("Message", message, most=MOST_BYTES) and "MessageStructure" in parameters:
        structure = parameters["MessageStructure"]
        if found.one_of("MessageStructure", structure, ["json"]):
            _message_by_protocol(found, message)
    attributes = parameters.get("MessageAttributes", {})
    if not isinstance(attributes, Mapping):
        found.say("MessageAttributes", "an object is accepted")
        attributes = {}
    if len(attributes) > 10:
        found.say("MessageAttributes", "10 are accepted: raw delivery to SQS drops the message")
    for name, attribute in attributes.items():
        _attribute(found, str(name), attribute)
    taken = len(str(message).encode()) + sum(
        len(str(part).encode())
        for name, attribute in attributes.items()
        for part in (name, *(attribute.values() if isinstance(attribute, Mapping) else ()))
    )
    if taken > MOST_BYTES:
        found.say("Message", f"{MOST_BYTES} bytes with its attributes are accepted, not {taken}")
    return found.said


def _subject(found: Complaints, subject: object) -> None:
    if not found.text("Subject", subject, most=99):
        return
    if not re.fullmatch(r"[ -~]*", str(subject)):
        found.say("Subject", "printable ASCII on one line is accepted")
    if not re.match(r"[!-~]", str(subject)):
        found.say("Subject", "a letter, number or punctuation mark is accepted at the start")


def _message_by_protocol(found: Complaints, message: str) -> None:
    try:
        texts = json.loads(message)
    except ValueError as problem:
        found.say("Message", f"valid JSON is accepted: {problem}")
        return
    for name, text in found.fields(
        "Message", texts, required=["default"], optional=_PROTOCOLS
    ).items():
        most = MOST_SMS if name == "sms" else MOST_BYTES
        found.text(f"Message.{name}", text, most=most)


def _attribute(found: Complaints, name: str, value: object) -> None:
    path = f"MessageAttributes.{name}"
    if not re.fullmatch(r"(?!.*\.\.)(?!\.)[A-Za-z0-9_.-]{1,256}(?<!\.)", name):
        found.say(path, "1 to 256 of A-Z a-z 0-9 _ - . are accepted, no dot at an end or doubled")
    if name.lower().startswith(("aws.", "amazon.")):
        found.say(path, "a name that begins with neither AWS. nor Amazon. is accepted")
    attribute = found.fields(path, value, required=["DataType", "StringValue"])
    kind, text = attribute.get("DataType"), attribute.get("StringValue", "any")
    if "DataType" in attribute:
        found.one_of(f"{path}.DataType", kind, ["String", "Number", "String.Array"])
    if not found.text(f"{path}.StringValue", text, most=MOST_BYTES):
        return
    if kind == "Number" and not re.fullmatch(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", text):
        found.say(f"{path}.StringValue", "a number is accepted")
    if kind == "String.Array" and not _is_array_of_scalars(text):
        found.say(f"{path}.StringValue", "a JSON array of strings, numbers, booleans is accepted")


def _is_array_of_scalars(text: str) -> bool:
    try:
        values = json.loads(text)
    except ValueError:
        return False
    return isinstance(values, list) and not any(isinstance(v, list | dict) for v in values)
