"""Why an execution or a state of Step Functions has failed, in words instead of JSON."""

import json


def message_in(cause: str | None) -> str:
    """Return the message of a cause as one line.

    Of an error of a function, a cause is a JSON object that has the message and a stack trace. Any
    other cause is a text.
    """
    text = cause or ""
    try:
        message = json.loads(text)["errorMessage"]
    except (ValueError, TypeError, KeyError, RecursionError):
        message = None
    return " ".join((message if isinstance(message, str) else text).split())


def reason(error: str | None, cause: str | None) -> str:
    """Return the name of an error and the message of its cause; empty without both."""
    return ": ".join(filter(None, (error, message_in(cause))))
