"""What the roles of the template allow, judged as IAM judges it, and what of it was used.

It knows as much of IAM as the template has: statements that allow, wildcards in resources, and
conditions on one key. https://docs.aws.amazon.com/service-authorization/latest/reference/ has the
actions that an operation needs, and the condition keys of each.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.template import ACCOUNT, REGION, arn, resolved, resources, template

LEADING_KEYS, PREFIX, SOURCE = "dynamodb:LeadingKeys", "s3:prefix", "events:source"
# By condition operator, whether wildcards count. A key without a value meets ForAllValues.
OPERATORS = {"StringEquals": False, "StringLike": True, "ForAllValues:StringLike": True}


@dataclass(frozen=True)
class Need:
    """What a call needs to be allowed. keys: the values of condition keys."""

    action: str
    resource: str
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Grant:
    """One thing that a statement allows: an action, and a pattern of its resource or of a key."""

    owner: str
    sid: str
    action: str
    key: str
    pattern: str


@dataclass
class Judge:
    """Judges the calls of functions and state machines by their roles, and keeps what they use.

    overrides: what stands for resources and parameters, as in `resolved`.
    """

    overrides: Mapping[str, str]
    used: set[Grant] = field(default_factory=set)
    refused: list[tuple[str, Need]] = field(default_factory=list)

    def allows(self, owner: str, need: Need) -> bool:
        """Return whether the role of a function or state machine allows a call, and note it."""
        for statement in self._statements(owner):
            if matched := _matched(owner, statement, need):
                self.used |= matched
                return True
        return False

    def granted(self) -> set[Grant]:
        """Return everything that the roles allow."""
        return {
            Grant(owner, statement["Sid"], action, key, pattern)
            for owner in owners()
            for statement in self._statements(owner)
            for action in listed(statement["Action"])
            for key, patterns in _patterns(statement)
            for pattern in patterns
        }

    @functools.cached_property
    def _by_owner(self) -> dict[str, list[dict[str, Any]]]:
        return {}

    def _statements(self, owner: str) -> list[dict[str, Any]]:
        if owner not in self._by_owner:
            self._by_owner[owner] = [
                rendered
                for statement in statements_of(owner)
                if isinstance(rendered := resolved(statement, self.overrides), dict)
            ]
        return self._by_owner[owner]


def owners() -> list[str]:
    """Return the logical IDs of everything that has a role with permissions of its own."""
    return [*resources("AWS::Serverless::Function"), *resources("AWS::Serverless::StateMachine")]


def statements_of(owner: str) -> Iterator[Any]:
    """Return the statements of the role of a function or a state machine, as the template has them.

    The role is the one that SAM makes, or one of the template.
    """
    properties = template()["Resources"][owner]["Properties"]
    role = properties["Role"]["Fn::GetAtt"][0] if "Role" in properties else f"{owner}Role"
    policies = list(properties.get("Policies", ()))
    if "Role" in properties:
        own = template()["Resources"][role]["Properties"]["Policies"]
        policies += [policy["PolicyDocument"] for policy in own]
    policies += [
        policy["PolicyDocument"]
        for policy in resources("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
    ]
    for policy in policies:
        # A statement that depends on a parameter is resolved later, with the parameter.
        chosen = policy["Fn::If"][1] if "Fn::If" in policy else policy
        yield from chosen["Statement"]


def listed(value: Any) -> list[Any]:
    """Return a value of a policy, which may be one or several, as a list."""
    return value if isinstance(value, list) else [value]


def needs_of(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """Return what a call of an API needs."""
    return _SERVICES[service](operation, parameters)


def _of_ledger(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """Return what a call of DynamoDB needs.

    A transaction needs what its writes need:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    Whether each counts with its own key or with those of all is not documented. Here it is all.
    """
    if operation == "TransactWriteItems":
        parts = [part for item in parameters["TransactItems"] for part in item.items()]
        keys = [_partition(part) for _, part in parts]
        for kind, part in parts:
            yield _of_table(f"{kind}Item", part["TableName"], keys)
    elif operation == "BatchGetItem":
        for table, asked in parameters["RequestItems"].items():
            yield _of_table(operation, table, [key["pk"]["S"] for key in asked["Keys"]])
    else:
        yield _of_table(operation, parameters["TableName"], [_partition(parameters)])


def _of_table(operation: str, table: str, partitions: list[str]) -> Need:
    keys = tuple(sorted(set(partitions)))
    return Need(f"dynamodb:{operation}", arn(table), ((LEADING_KEYS, keys),))


def _partition(parameters: Mapping[str, Any]) -> str:
    values = parameters.get("Key") or parameters.get("Item")
    partition = values["pk"] if values else parameters["ExpressionAttributeValues"][":pk"]
    return str(partition["S"])


def _of_bucket(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    if operation == "ListObjectsV2":
        prefixes = (parameters["Prefix"],) if "Prefix" in parameters else ()
        yield Need("s3:ListBucket", arn(parameters["Bucket"]), ((PREFIX, prefixes),))
    else:
        yield Need(f"s3:{operation}", f"{arn(parameters['Bucket'])}/{parameters['Key']}")


def _of_registry(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    names = parameters.get("repositoryNames") or [parameters.get("repositoryName", "any")]
    for name in names:
        yield Need(f"ecr:{operation}", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}")


def _of_bus(_: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    for entry in parameters["Entries"]:
        bus = entry.get("EventBusName", "default")
        if not bus.startswith("arn:"):
            bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
        yield Need("events:PutEvents", bus, ((SOURCE, (entry["Source"],)),))


def _of(action: str, parameter: str) -> Callable[[str, Mapping[str, Any]], Iterator[Need]]:
    """Return what the only call of a service needs, whose resource is a parameter."""

    def needs(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        assert action.endswith(f":{operation}")
        yield Need(action, parameters[parameter])

    return needs


def _of_queue(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    yield Need(f"sqs:{operation}", arn(parameters["QueueUrl"].rpartition("/")[2]))


_SERVICES = {
    "dynamodb": _of_ledger,
    "s3": _of_bucket,
    "ecr": _of_registry,
    "events": _of_bus,
    "sns": _of("sns:Publish", "TopicArn"),
    "sqs": _of_queue,
    "stepfunctions": _of("states:StartExecution", "stateMachineArn"),
    "secretsmanager": _of("secretsmanager:GetSecretValue", "SecretId"),
}


def _matched(owner: str, statement: Mapping[str, Any], need: Need) -> set[Grant] | None:
    """Return what a call uses of a statement; nothing if that does not allow it."""
    if need.action not in listed(statement["Action"]):
        return None
    resource = next(
        (each for each in listed(statement["Resource"]) if _is_like(need.resource, each)), None
    )
    if resource is None:
        return None
    matched = {("Resource", resource)}
    values = dict(need.keys)
    for operator, key, patterns in _conditions(statement):
        found = [
            _first(value, patterns, has_wildcards=OPERATORS[operator])
            for value in values.get(key, ())
        ]
        if None in found or not (found or operator.startswith("ForAllValues:")):
            return None
        matched |= {(key, pattern) for pattern in found if pattern is not None}
    return {Grant(owner, statement["Sid"], need.action, *part) for part in matched}


def _first(value: str, patterns: Iterable[str], *, has_wildcards: bool) -> str | None:
    return next(
        (
            pattern
            for pattern in patterns
            if (_is_like(value, pattern) if has_wildcards else value == pattern)
        ),
        None,
    )


def _patterns(statement: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "Resource", listed(statement["Resource"])
    for _, key, patterns in _conditions(statement):
        yield key, patterns


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, conditions in statement.get("Condition", {}).items():
        for key, patterns in conditions.items():
            yield operator, key, listed(patterns)


def _is_like(value: str, pattern: str) -> bool:
    return _regex(pattern).fullmatch(value) is not None


@functools.cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
