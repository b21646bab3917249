"""What each role of the stack may do, as docs/security.md lists it, read from template.yaml."""

import re
from collections.abc import Iterator
from typing import Any

from tests.support.grants import listed, owners, statements_of
from tests.support.template import resources, template

# What every function and state machine may do besides, in words of the document.
_LOGS = ("logs:", "xray:")


def role_table() -> str:
    """Write a row per statement, but for logs and traces."""
    rows = ["| role of | statement | actions | on |", "| --- " * 4 + "|"]
    for owner, statement in _of_interest():
        actions = listed(statement["Action"])
        named = ", ".join(f"`{action}`" for action in actions)
        rows.append(f"| {_name(owner)} | `{statement['Sid']}` | {named} | {_on(statement)} |")
    return "\n".join(rows)


def actions_of_roles() -> list[tuple[str, list[str]]]:
    """Return the logical ID of its role, and the actions, of each statement of the table."""
    found = []
    for owner, statement in _of_interest():
        own = template()["Resources"][owner]["Properties"].get("Role")
        is_role = owner in resources("AWS::IAM::Role")
        role = owner if is_role else own["Fn::GetAtt"][0] if own else f"{owner}Role"
        found.append((role, sorted(listed(statement["Action"]))))
    return sorted(found)


def actions_in(expanded: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the same of a template that SAM has expanded."""
    found = []
    for name, resource in expanded["Resources"].items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::IAM::Role":
            policies = [(name, _chosen(each)) for each in properties.get("Policies", ())]
        elif resource["Type"] == "AWS::IAM::Policy":
            policies = [(role["Ref"], properties) for role in properties["Roles"]]
        else:
            continue
        found += [
            (role, sorted(listed(_chosen(statement)["Action"])))
            for role, policy in policies
            for statement in listed(policy["PolicyDocument"]["Statement"])
        ]
    return sorted(each for each in found if not is_of_logs(each[1]))


def is_of_logs(actions: list[str]) -> bool:
    """Return whether actions are what every role may do besides."""
    return all(action.startswith(_LOGS) for action in actions)


def _of_interest() -> Iterator[tuple[str, Any]]:
    for owner, statement in _statements():
        if not is_of_logs(listed(statement["Action"])):
            yield owner, statement


def _statements() -> Iterator[tuple[str, Any]]:
    for owner in owners():
        for statement in statements_of(owner):
            yield owner, _chosen(statement)
        # SAM lets a function send what it could not process, in a policy without a Sid.
        if queue := template()["Resources"][owner]["Properties"].get("DeadLetterQueue"):
            action = {"Action": "sqs:SendMessage", "Resource": queue["TargetArn"]}
            yield owner, {"Sid": "DeadLetterQueuePolicy", **action}
    of_owners = {f"{owner}Role" for owner in owners()}
    for role, properties in resources("AWS::IAM::Role").items():
        if role not in of_owners:
            for policy in properties["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield role, _chosen(statement)


def _chosen(value: Any) -> Any:
    return value["Fn::If"][1] if isinstance(value, dict) and "Fn::If" in value else value


def _name(owner: str) -> str:
    for ending in ("Function", "StateMachine"):
        owner = owner.removesuffix(ending)
    return owner.replace("StateMachine", "").replace("Role", "")


def _on(statement: Any) -> str:
    on = ", ".join(f"`{_resource(each)}`" for each in listed(statement["Resource"]))
    keys = [
        value
        for operator in statement.get("Condition", {}).values()
        for values in operator.values()
        for value in listed(_chosen(values))
    ]
    only = ", ".join(f"`{_resource(key)}`" for key in keys)
    return f"{on}, only {only}" if only else on


def _resource(value: Any) -> str:
    """Name a resource by its place in the template, or by the end of its ARN."""
    match _chosen(value):
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            return _name(name) if name in template()["Resources"] else str(name)
        case {"Fn::Sub": text}:
            short = re.sub(r"^arn:.*\$\{AWS::AccountId\}:", "", text)
            return re.sub(r"\$\{(\w+)\.\w+\}", r"\1", short)
        case other:
            return str(other)
