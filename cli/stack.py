"""The deployed stack that a command is about: its outputs, its parameters, and AWS beside it."""

import functools
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli import VERSION
from cli.aws_errors import note_action
from cli.exits import CommandError
from cli.shown_commands import make_deploy

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

CONNECTIONS = 16  # calls that a command has under way at most
PARAMETERS_OF_OURS = {"RepositoryFilter", "RescanAfter"}  # since 0.3.0, and no one else's
OUTPUT_OF_EVERY_VERSION = "RescanRegistryArn"  # since 0.3.0, and of no other application


@dataclass(frozen=True)
class Address:
    """Which stack is meant, as the options say. region, profile: absent means AWS's own rules.

    is_named: the operator has named the stack; it is not the default.
    """

    stack: str
    region: str | None = None
    profile: str | None = None
    is_named: bool = False


class Account:
    """The account and the Region in which a command works, with the operator's credentials."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._making = threading.Lock()  # boto3 makes clients in one thread at a time only
        self._session = boto3.Session(
            profile_name=address.profile, region_name=address.region or os.environ.get("AWS_REGION")
        )

    @functools.cached_property
    def identity(self) -> Mapping[str, str]:
        """Return who is asking, as GetCallerIdentity says: Account and Arn."""
        answer = self.client("sts").get_caller_identity()
        return {"Account": answer["Account"], "Arn": answer["Arn"]}

    @property
    def region(self) -> str:
        """Return the Region; raise NoRegionError if nothing names one."""
        return str(self.client("cloudformation").meta.region_name)

    @property
    def place(self) -> str:
        """Return the Region and the account, as an operator reads them."""
        return f"{self.region} of {self.identity['Account']}"

    def client(self, service: str, *, region: str | None = None) -> Any:
        """Make the client of a service, once; region: another one than that of the stack."""
        with self._making:
            return self._client(service, region)

    def patient_client(self, service: str, seconds: int) -> Any:
        """Make a client that makes each call once, and waits for the answer. seconds: at most."""
        patience = Config(read_timeout=seconds, retries={"total_max_attempts": 1})
        config = _config().merge(patience)
        client: Any = self._session.client(service, config=config)  # type: ignore[call-overload]
        client.meta.events.register("after-call", note_action)
        return client

    @functools.cache  # noqa: B019 # one account lives as long as the command
    def _client(self, service: str, region: str | None) -> Any:
        client: Any = self._session.client(service, region_name=region, config=_config())  # type: ignore[call-overload]
        client.meta.events.register("after-call", note_action)
        return client


class Stack:
    """A deployed stack of ecr-rescan."""

    def __init__(self, account: Account, description: "StackTypeDef") -> None:
        self.account = account
        self.name = description["StackName"]
        self.status: str = description["StackStatus"]
        self.created_at: datetime = description["CreationTime"]
        self.changed_at: datetime = description.get("LastUpdatedTime", self.created_at)
        self.outputs: Mapping[str, str] = {
            each["OutputKey"]: each["OutputValue"] for each in description.get("Outputs", [])
        }
        self.parameters: Mapping[str, str] = {
            each["ParameterKey"]: each.get("ParameterValue", "")
            for each in description.get("Parameters", [])
        }

    @property
    def address(self) -> Address:
        """Return what leads to the stack."""
        return replace(self.account.address, stack=self.name)

    @property
    def version(self) -> str:
        """Return the version that is deployed; before 0.4.0, stacks did not say it."""
        return self.outputs.get("Version", "0.3.0")

    def client(self, service: str) -> Any:
        """Make the client of a service, once."""
        return self.account.client(service)

    def output(self, name: str) -> str:
        """Return an output; raise CommandError if the stack is of a version without it."""
        return self._value(self.outputs, "output", name)

    def parameter(self, name: str) -> str:
        """Return a parameter; raise CommandError if the stack is of a version without it."""
        return self._value(self.parameters, "parameter", name)

    def physical_names(self, kind: str) -> dict[str, str]:
        """Return the physical names of the resources of a kind, by logical ID."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.name)
            for each in page["StackResourceSummaries"]
            if each["ResourceType"] == kind and "PhysicalResourceId" in each
        }

    def _value(self, values: Mapping[str, str], what: str, name: str) -> str:
        if name not in values:
            raise CommandError(
                f"The stack {self.name} is of version {self.version} and has no {what} {name}, "
                f"which this command needs. Deploy {VERSION}: {make_deploy(self)}"
            )
        return values[name]


def open_stack(account: Account, address: Address, *, looks_elsewhere: bool = False) -> Stack:
    """Find a stack by name; raise CommandError if there is none, or it is another application.

    looks_elsewhere: name the other Regions of the account that have a stack of this name.
    """
    description = describe(account, address.stack)
    if description is None:
        elsewhere = _elsewhere(account, address.stack) if looks_elsewhere else ()
        hint = (
            f"It is in {', '.join(elsewhere)}: add --region {elsewhere[0]}."
            if elsewhere
            else "Give the name of another one with --stack, or another Region with --region."
        )
        raise CommandError(f"There is no stack {address.stack} in {account.place}. {hint}")
    stack = Stack(account, description)
    if OUTPUT_OF_EVERY_VERSION not in stack.outputs:
        raise CommandError(
            f"The stack {stack.name} has status {stack.status} and not the outputs of ecr-rescan: "
            f"give the name of its stack with --stack, or deploy it: {make_deploy(stack)}"
        )
    return stack


def existing(account: Account, name: str) -> Stack | None:
    """Return a stack of ecr-rescan in any state, also without outputs; None if there is none.

    Raises CommandError if it is of another application.
    """
    description = describe(account, name, account.region)
    if description is None:
        return None
    stack = Stack(account, description)
    # A stack whose first change set was not executed has no parameters yet.
    if stack.status != "REVIEW_IN_PROGRESS" and not stack.parameters.keys() >= PARAMETERS_OF_OURS:
        raise CommandError(
            f"The stack {name} in {account.region} is of another application: give another name "
            "with --stack, or in the file of answers."
        )
    return stack


def describe(account: Account, stack: str, region: str | None = None) -> "StackTypeDef | None":
    """Return what CloudFormation says of a stack; None if there is none."""
    cloudformation = account.client("cloudformation", region=region)
    try:
        (description,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return description  # type: ignore[no-any-return]


def _elsewhere(account: Account, stack: str) -> tuple[str, ...]:
    """Name the other Regions with such a stack: a help only, and no reason to fail."""
    try:
        answer = account.client("ec2").describe_regions()
        regions = [each["RegionName"] for each in answer["Regions"]]
        others = sorted({*regions} - {account.region})
        with ThreadPoolExecutor(max_workers=len(others) or 1) as pool:
            found = pool.map(lambda region: describe(account, stack, region), others)
            return tuple(region for region, each in zip(others, found, strict=True) if each)
    except (BotoCoreError, ClientError):
        return ()


def _config() -> Config:
    """Wait for a busy service; a prefix would make the address of a local cloud unreachable."""
    return Config(
        retries={"mode": "adaptive", "total_max_attempts": 8},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=CONNECTIONS,
        inject_host_prefix="AWS_ENDPOINT_URL" not in os.environ,
        user_agent_extra=f"ecr-rescan/{VERSION}",
    )
