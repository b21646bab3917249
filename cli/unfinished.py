"""Executions of NotifyScan that did not finish, and those whose item in the ledger is damaged."""

import json
from collections.abc import Iterable

from cli.shown_commands import aws
from cli.stack import Stack
from ledger.attributes import key_attributes
from ledger.unfinished_executions import unfinished_key
from reporting.text import visible

FOLLOWS = "what it had not sent is never sent, unless the scan changes again."


def unreadable(stack: Stack, names: Iterable[str]) -> list[tuple[str, str]]:
    """Say which executions cannot be started again, each with the command that deletes the item."""
    return [
        (
            f"The item of execution {visible(name)} of NotifyScan, which did not finish, cannot be "
            "read.",
            aws(
                stack,
                "dynamodb delete-item",
                table_name=stack.output("LedgerTableName"),
                key=json.dumps(key_attributes(unfinished_key(name))),
            ),
        )
        for name in names
    ]
