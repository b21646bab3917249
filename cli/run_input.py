"""The input of a run, checked by the rules of the run before one is started."""

import json

from cli.exits import UsageError
from cli.stack import Stack
from ledger.bucket import RunBucket
from ledger.run_records import RunRecords
from ledger.run_state import RunState
from ledger.table import Table
from registry.ecr import EcrRegistry
from reporting.text import visible
from rescan_registry.registry_listing import Waiting
from rescan_registry.repository_choice import Selection, Sources, choice_of
from rescan_registry.request import InvalidRescanRequest, read_request


def read_input(text: str) -> dict[str, object]:
    """Return the input that --input has; raise UsageError if no run would accept it."""
    try:
        document: dict[str, object] = json.loads(text)
        read_request(document)
    except (ValueError, InvalidRescanRequest) as error:
        raise UsageError(f"--input: {visible(str(error))}") from error
    return document


def check_selection(stack: Stack, document: dict[str, object]) -> None:
    """Raise UsageError if an input names what does not exist, or selects no repository.

    Asks AWS nothing about an input that selects none: the run then lists the registry.
    """
    request = read_request(document)
    choice = choice_of(request, default_filter=None)
    if choice.by is Selection.PARAMETER:
        return
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    sources = Sources(
        registry=EcrRegistry(stack.client("ecr")),
        bucket=RunBucket(stack.client("s3"), stack.output("RunBucketName")),
        records=RunRecords(table),
        state=RunState(table),
        waiting=Waiting(),
    )
    try:
        names, choice = sources.chosen(request, choice)
    except InvalidRescanRequest as error:
        raise UsageError(f"--input: {visible(str(error))}") from error
    if not names:
        raise UsageError(f"--input selects nothing: {visible(choice.sentence(0))}.")
