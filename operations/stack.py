"""The outputs of a deployed stack, which name its queues and state machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


class StackNotFoundError(Exception):
    """The stack does not exist, or is not one of ecr-rescan."""


def outputs_of(
    name: str, cloudformation: "CloudFormationClient", *needed: str
) -> Mapping[str, str]:
    """Read the outputs of a deployed stack; raise StackNotFoundError if it has not all of these."""
    stack = _stack(name, cloudformation)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    for each in needed:
        if each not in outputs:
            raise StackNotFoundError(f"The stack {name} has no output {each!r}.")
    return outputs


def parameter_of(name: str, cloudformation: "CloudFormationClient", parameter: str) -> str:
    """Read a parameter of a deployed stack; raise StackNotFoundError if it has none of the name."""
    for each in _stack(name, cloudformation).get("Parameters", []):
        if each["ParameterKey"] == parameter:
            return each["ParameterValue"]
    raise StackNotFoundError(f"The stack {name} has no parameter {parameter!r}.")


def _stack(name: str, cloudformation: "CloudFormationClient") -> "StackTypeDef":
    try:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        raise StackNotFoundError(f"The stack {name} cannot be read: {error}") from error
    return stack
