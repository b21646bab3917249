"""The deployed stack as an operator has it: runs to start, stop and read, and what is there."""

import functools
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ledger.image_records import ImageRecord, ImageRecords
from ledger.run_records import RunRecord, RunRecords
from ledger.table import Table
from local.cloud.account import ACCOUNT, REGION
from local.cloud.engine import Engine
from tests.support.template import resources

# Of one wait: what takes a second on a calm machine takes half a minute where every core is busy.
# It is shorter than the timeout of pytest, which cannot say what a test waited for.
DEADLINE_SECONDS = 240
POLL_SECONDS = 0.1
MOST_CHARACTERS = 4_000  # of what was read last, in the message of a wait that failed


class NeverHappenedError(AssertionError):
    """What a test waited for did not happen. The message says what, and what was read last."""


def eventually[T](read: Callable[[], T], until: Callable[[T], object], *, what: str) -> T:
    """Read until a condition holds, and return what was read last.

    what: a noun for what the test waits for, for the message when it does not come.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not until(value := read()):
        if time.monotonic() > deadline:
            raise NeverHappenedError(
                f"Waited {DEADLINE_SECONDS} s for {what}. Last read: {value!r:.{MOST_CHARACTERS}}"
            )
        time.sleep(POLL_SECONDS)
    return value


@dataclass(frozen=True)
class Run:
    """An execution of RescanRegistry that has ended."""

    arn: str
    name: str
    status: str
    states: tuple[str, ...]
    output: Any = None
    error: str | None = None
    cause: str | None = None


class Stack:
    """One stack in the local cloud."""

    def __init__(self, engine: Engine, name: str, outputs: dict[str, str]) -> None:
        self.engine = engine
        self.name = name
        self.outputs = outputs
        self.client = functools.cache(engine.client)  # to make one takes as long as ten calls

    def run(self, asked: object = None) -> Run:
        """Start an execution, with the input {} if nothing is asked for, and wait for its end."""
        return self.wait(self.start(asked))

    def start(self, asked: object = None) -> str:
        """Start an execution and give its ARN."""
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["RescanRegistryArn"],
            input=json.dumps({} if asked is None else asked),
        )
        return str(answer["executionArn"])

    def wait(self, arn: str) -> Run:
        """Wait until an execution has ended, however it did."""
        states = self.client("stepfunctions")
        ended = eventually(
            lambda: states.describe_execution(executionArn=arn),
            until=lambda execution: execution["status"] != "RUNNING",
            what=f"the end of {arn}",
        )
        pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
        entered = (
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        )
        run = Run(arn, ended["name"], ended["status"], tuple(entered))
        if ended["status"] == "SUCCEEDED":
            return replace(run, output=json.loads(ended["output"]))
        return replace(run, error=ended.get("error"), cause=ended.get("cause"))

    def stop(self, arn: str) -> Run:
        """Stop an execution as the console's button does."""
        self.client("stepfunctions").stop_execution(executionArn=arn)
        return self.wait(arn)

    def records(self, run: str) -> dict[str, RunRecord]:
        """Read the records of a run by repository."""
        records = RunRecords(Table(self.client("dynamodb"), self.outputs["LedgerTableName"]))
        return {record.repository: record for record in records.for_run(run)}

    def image_records(self, repository: str, digests: Collection[str]) -> list[ImageRecord]:
        """Read what is known of some images of a repository."""
        records = ImageRecords(Table(self.client("dynamodb"), self.outputs["LedgerTableName"]))
        return list(records.records_of(repository, digests))

    def forget(self, partition: str) -> None:
        """Delete every item of the ledger whose partition key begins with this text."""
        client, table = self.client("dynamodb"), self.outputs["LedgerTableName"]
        pages = client.get_paginator("scan").paginate(TableName=table)
        for item in [item for page in pages for item in page["Items"]]:
            if item["pk"]["S"].startswith(partition):
                client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})

    def document(self, key: str) -> Any:
        """Read a document of the run bucket."""
        bucket = self.outputs["RunBucketName"]
        answer = self.client("s3").get_object(Bucket=bucket, Key=key)
        return json.loads(answer["Body"].read())

    def log_lines(self, output: str = "FunctionLogGroup") -> list[str]:
        """Read the log of the functions, or the log group that another output names."""
        pages = self.client("logs").get_paginator("filter_log_events")
        return [
            event["message"].strip()
            for page in pages.paginate(logGroupName=self.outputs[output])
            for event in page["events"]
        ]

    def started_by(self, arn: str) -> list[str]:
        """Return the ARNs of the executions that the tasks of an execution started."""
        states = self.client("stepfunctions")
        pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
        outputs = [
            json.loads(event["taskSucceededEventDetails"]["output"])
            for page in pages
            for event in page["events"]
            if event.get("taskSucceededEventDetails", {}).get("resource") == "startExecution"
        ]
        return [str(output["ExecutionArn"]) for output in outputs]

    def await_notifications(self, *arns: str) -> None:
        """Wait until executions of NotifyScan have ended well.

        It is read in their log: an Express execution has no other history.
        """

        def ends() -> dict[str, str]:
            lines = map(json.loads, self.log_lines("NotifyScanLogGroup"))
            return {
                line["execution_arn"]: line["type"]
                for line in lines
                if line["execution_arn"] in arns
                and line["type"].startswith("Execution")
                and line["type"] != "ExecutionStarted"
            }

        ended = eventually(
            ends, until=lambda found: found.keys() >= {*arns}, what=f"the ends of {arns}"
        )
        assert set(ended.values()) <= {"ExecutionSucceeded"}, ended

    def let_events_through(
        self,
        *,
        open: bool,  # noqa: A002
        rules: Collection[str] = frozenset(resources("AWS::Events::Rule")),
    ) -> None:
        """Switch rules on or off: all of them, or those with these logical IDs.

        All stacks share one bus. One that is left open calls ECR about the images of other tests.
        """
        events = self.client("events")
        switch = events.enable_rule if open else events.disable_rule
        for logical_id, rule in self.physical_names("AWS::Events::Rule").items():
            if logical_id in rules:
                switch(Name=rule)

    def undelivered(self, about: str) -> list[Any]:
        """Read the messages of the dead-letter queue Undelivered that hold a text, and leave them.

        The text is what only the test knows, such as its repository: all tests share the queue.
        """
        return [json.loads(message["Body"]) for message in self._undelivered(about)]

    def delete_undelivered(self, about: str) -> None:
        """Delete the messages of the dead-letter queue Undelivered that hold a text."""
        for message in self._undelivered(about):
            self.client("sqs").delete_message(
                QueueUrl=self.outputs["UndeliveredQueueUrl"],
                ReceiptHandle=message["ReceiptHandle"],
            )

    def _undelivered(self, about: str) -> list[Any]:
        answer = self.client("sqs").receive_message(
            QueueUrl=self.outputs["UndeliveredQueueUrl"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
        )
        return [message for message in answer.get("Messages", ()) if about in message["Body"]]

    def physical_names(self, kind: str) -> dict[str, str]:
        """Return the physical names of the resources of a kind, by logical ID."""
        cloudformation = self.client("cloudformation")
        resources = cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in resources
            if resource["ResourceType"] == kind
        }

    def session_of(self, role: str) -> boto3.Session:
        """Make a session with the credentials of a role, given by its logical id.

        The role trusts only a service, so it is made to trust the account meanwhile.
        """
        iam = self.client("iam")
        name = self.physical_names("AWS::IAM::Role")[role]
        found = iam.get_role(RoleName=name)["Role"]
        trust = found["AssumeRolePolicyDocument"]
        account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        admission = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": account}
        opened = {**trust, "Statement": [*trust["Statement"], admission]}
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(opened))
        try:
            credentials = self.client("sts").assume_role(
                RoleArn=found["Arn"], RoleSessionName="test"
            )["Credentials"]
        finally:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
        return boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=REGION,
        )

    def granted(
        self, role: str, attempts: Mapping[str, tuple[str, str, dict[str, Any]]]
    ) -> set[str]:
        """Return the attempts that a role may make: each a service, an operation, its parameters.

        The result of an attempt does not matter.
        """
        session, granted = self.session_of(role), set[str]()
        for name, (service, operation, parameters) in attempts.items():
            client: Any = session.client(service, endpoint_url=self.engine.url)  # type: ignore[call-overload]
            try:
                getattr(client, operation)(**parameters)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
                    continue
            granted.add(name)
        return granted
