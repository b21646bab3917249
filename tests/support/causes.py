"""Causes of failed executions, as Step Functions has them."""

import json


def of_lambda(message: str) -> str:
    """Return the cause of a function that raised an error with a message."""
    return json.dumps(
        {
            "errorMessage": message,
            "errorType": "AnyError",
            "requestId": "0f6e2d54-0a4b-4a0e-9d6c-3b1f5f3f4b5a",
            "stackTrace": ['  File "/var/task/runtime/entrypoint.py", line 36, in run\n'],
        }
    )
