"""Delete a stack, and its data only if that is asked for."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from cli.answers import FILE, about, read_answers
from cli.aws_errors import command_error, in_a_sentence
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
    with in_a_sentence(call.profile):
        return _undeploy(call, deletes_data=deletes_data)


def _undeploy(call: Call, *, deletes_data: bool) -> ExitCode:
    account, name = call.account, call.address.stack
    stack = existing(account, name)
    if stack is None:
        left = (
            " What a deleted stack has left: docs/operations.md#uninstall" if deletes_data else ""
        )
        raise CommandError(f"There is no stack {name} in {account.place}.{left}")
    call.say_where()
    data = None if stack.status in WITHOUT_DATA else _data(stack)
    names = data.names if data else []
    secrets = [f"secret {arn}" for arn in _secrets(stack)]
    going = [f"stack {name} in {account.region}", *(names if deletes_data else [])]
    _show(call, going, [*([] if deletes_data else names), *secrets])
    call.confirm_by_name("Name of the stack, to delete it?", name)
    _delete_stack(call, stack)
    kept, finish = names, list[str]()
    if data and deletes_data:
        reasons = dict(_kept(account, data))
        for resource, reason in reasons.items():
            call.output.complain(f"Not deleted: {resource}. {reason}")
        kept = [*reasons]
        finish = _commands(call, data, kept) if kept else []
    deleted = [going[0], *(each for each in names if each not in kept)]
    call.answer(Undeployed(deleted, [*kept, *secrets], finish))
    return ExitCode.INCOMPLETE if finish else ExitCode.DONE


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


def _kept(account: Account, data: Data) -> Iterator[tuple[str, str]]:
    """Delete the data, each resource by itself; yield what AWS does not delete, and why.

    The stack is gone by now: what is refused for one resource keeps none of the others.
    """
    dynamodb, s3 = account.client("dynamodb"), account.client("s3")
    deletions = [
        partial(dynamodb.delete_table, TableName=data.table),
        *(partial(_delete_bucket, s3, bucket) for bucket in data.buckets),
    ]
    for name, delete in zip(data.names, deletions, strict=True):
        try:
            delete()
        except (BotoCoreError, ClientError) as error:
            if not _is_of_what_is_gone(error):  # CloudFormation has deleted it
                yield name, str(command_error(error, account.address.profile))


def _is_of_what_is_gone(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in GONE


def _delete_bucket(s3: Any, bucket: str) -> None:
    """Delete a bucket with all versions of its objects; raise ClientError for one that S3 keeps."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:  # of 1,000, the most that one call deletes
        versions = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        if versions:
            deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
            _raise_first(deleted.get("Errors", []))
    s3.delete_bucket(Bucket=bucket)


def _raise_first(errors: Sequence[Mapping[str, str]]) -> None:
    """Raise the first error of an answer that names one per object: such an answer has status 200.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    for each in errors:
        named = {"Code": each.get("Code", ""), "Message": each.get("Message", "")}
        raise ClientError({"Error": {**named, "Action": "s3:DeleteObjectVersion"}}, "DeleteObjects")  # type: ignore[typeddict-item]


def _commands(call: Call, data: Data, kept: Collection[str]) -> list[str]:
    """Return what the commands of docs/operations.md have to know to delete what is kept."""
    buckets = " ".join(bucket for bucket in data.buckets if f"bucket {bucket}" in kept)
    known = {
        "AWS_REGION": call.account.region,
        "AWS_PROFILE": call.address.profile,
        "table": data.table if f"table {data.table}" in kept else None,
        "buckets": buckets,
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in known.items() if value]
