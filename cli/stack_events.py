"""Why CloudFormation could not do what it was asked to do last."""

from collections.abc import Iterator

from cli.stack import Account
from reporting.text import visible

MOST = 5
_BEGINNINGS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}


def failures(account: Account, stack: str) -> list[str]:
    """Return the reasons of the first resources that failed in the last operation."""
    return [*_failures(account, stack)][::-1][:MOST]


def _failures(account: Account, stack: str) -> Iterator[str]:
    """Find them, the newest first, back to the event with which the operation began."""
    pages = account.client("cloudformation").get_paginator("describe_stack_events")
    for page in pages.paginate(StackName=stack):
        for event in page["StackEvents"]:
            status, name = event["ResourceStatus"], event["LogicalResourceId"]
            is_stack = event["PhysicalResourceId"] == event["StackId"]
            if is_stack and status in _BEGINNINGS:
                return
            reason = event.get("ResourceStatusReason", "no reason given")
            # What CloudFormation stops because of another failure explains nothing.
            if status.endswith("_FAILED") and not is_stack and "cancelled" not in reason:
                yield f"{name}: {visible(reason)}"
