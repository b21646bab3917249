"""Delete a stack, and its data only if that is asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from cli.answers import FILE, about, read_answers
from cli.call import Call
from cli.deployed import Undeployed
from cli.exits import CommandError, ExitCode
from cli.stack import Account, Stack, existing
from cli.stack_events import failures
from reporting.channels.in_use import SECRET_PARAMETERS

# A stack in one of these has no outputs, and a first deployment that fails keeps no data.
WITHOUT_DATA = {"CREATE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
PATIENCE = {"Delay": 5, "MaxAttempts": 720}  # an hour, in seconds
GONE = {"NoSuchBucket", "ResourceNotFoundException"}


@dataclass(frozen=True)
class Data:
    """What a stack leaves: its ledger and its buckets."""

    table: str
    buckets: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Return what an operator reads."""
        return [f"table {self.table}", *(f"bucket {bucket}" for bucket in self.buckets)]


def undeploy(call: Call, given: Path | None, *, deletes_data: bool) -> ExitCode:
    """Delete the stack after the operator has typed its name.

    given: the file of answers that it was deployed with; absent: FILE, if there is one.
    """
    if given or FILE.exists():
        file = given or FILE
        call = about(call, read_answers(file), file)
    account, name = call.account, call.address.stack
    stack = existing(account, name)
    if stack is None:
        where = f"{account.region} of {account.identity['Account']}"
        raise CommandError(f"There is no stack {name} in {where}.")
    data = None if stack.status in WITHOUT_DATA else _data(stack)
    names = data.names if data else []
    secrets = [f"secret {arn}" for arn in _secrets(stack)]
    going = [f"stack {name} in {account.region}", *(names if deletes_data else [])]
    _show(call, going, [*([] if deletes_data else names), *secrets])
    call.confirm_by_name("Name of the stack, to delete it?", name)
    _delete_stack(call, stack)
    left = names
    if data and deletes_data:
        left = [*_left(account, data)]
    deleted = [going[0], *(each for each in names if each not in left)]
    is_incomplete = deletes_data and bool(left)
    call.answer(Undeployed(deleted, [*left, *secrets], is_incomplete=is_incomplete))
    return ExitCode.INCOMPLETE if is_incomplete else ExitCode.DONE


def _data(stack: Stack) -> Data:
    buckets = (stack.output("RunBucketName"), stack.output("AccessLogBucketName"))
    return Data(stack.output("LedgerTableName"), buckets)


def _secrets(stack: Stack) -> list[str]:
    return [arn for name in SECRET_PARAMETERS.values() if (arn := stack.parameters.get(name))]


def _show(call: Call, going: list[str], staying: list[str]) -> None:
    call.output.complain("This deletes, and nothing brings it back:\n  " + "\n  ".join(going))
    if staying:
        call.output.complain("It keeps:\n  " + "\n  ".join(staying))
    call.output.complain("SAM's bucket is kept, too: other applications may use it.")


def _delete_stack(call: Call, stack: Stack) -> None:
    cloudformation = call.account.client("cloudformation")
    cloudformation.delete_stack(StackName=stack.name)
    try:
        with call.output.waiting(f"deleting the stack {stack.name}"):
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack.name, WaiterConfig=PATIENCE)
    except WaiterError as error:
        reasons = "\n  ".join(failures(call.account, stack.name))
        raise CommandError(
            f"The stack {stack.name} was not deleted:\n  {reasons}\nRepair that, and repeat."
        ) from error


def _left(account: Account, data: Data) -> Iterator[str]:
    """Delete the data, and yield what AWS does not delete yet: it may get objects at any time."""
    dynamodb, s3 = account.client("dynamodb"), account.client("s3")
    if not _is_deleted(partial(dynamodb.delete_table, TableName=data.table)):
        yield data.names[0]
    for bucket, name in zip(data.buckets, data.names[1:], strict=True):
        if not _is_deleted(partial(_delete_bucket, s3, bucket)):
            yield name


def _is_deleted(delete: Callable[[], object]) -> bool:
    try:
        delete()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in GONE:  # CloudFormation has deleted it
            return True
        if code in {"BucketNotEmpty", "ResourceInUseException"}:
            return False
        raise
    return True


def _delete_bucket(s3: Any, bucket: str) -> None:
    """Delete a bucket with all versions of its objects."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:  # of 1,000, the most that one call deletes
        versions = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        if versions:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)
