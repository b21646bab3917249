"""The policy of a role that deploys from CI has what a deployment calls, and fits."""

import json
import re

from tests.support.deploy_role import KINDS, UNUSED, policy
from tests.support.template import ROOT, template

MOST_CHARACTERS = 6_144  # of a managed policy, without spaces
# What SAM makes of its own kinds.
EXPANDED = {
    "AWS::Serverless::Function": {"AWS::Lambda::Function", "AWS::IAM::Role"},
    "AWS::Serverless::StateMachine": {
        "AWS::StepFunctions::StateMachine",
        "AWS::Scheduler::Schedule",
    },
}


def allowed() -> set[str]:
    return {action for statement in policy()["Statement"] for action in statement["Action"]}


def test_every_kind_of_resource_is_in_the_policy() -> None:
    for resource in template()["Resources"].values():
        kind = resource["Type"]
        assert EXPANDED.get(kind, {kind}) <= {*KINDS}, kind


def test_it_allows_what_an_upgrade_needs() -> None:
    """docs/upgrading.md lists these by reading the template, not a schema."""
    upgrading = (ROOT / "docs" / "upgrading.md").read_text()
    _, _, table = upgrading.partition("it needs these permissions, too:")
    rows = re.findall(r"^  \| .*", table, re.MULTILINE)
    listed = set(re.findall(r"`([a-z0-9]+:\w+)`", "\n".join(rows)))
    assert len(listed) > 20
    assert listed <= allowed()


def test_it_fits_into_a_managed_policy() -> None:
    assert len(json.dumps(policy(), separators=(",", ":"))) <= MOST_CHARACTERS


def test_only_what_has_no_name_of_the_stack_is_allowed_everywhere() -> None:
    everywhere = [each["Sid"] for each in policy()["Statement"] if "*" in each["Resource"]]
    assert everywhere == ["Check", "ChangeWhatHasNoNameOfTheStack"]
    changes = [each for each in policy()["Statement"] if "iam:PassRole" in each["Action"]]
    assert [each["Resource"] for each in changes] == [
        ["arn:aws:iam::123456789012:role/ecr-rescan-*"]
    ]


def test_no_action_reads_what_is_stored() -> None:
    for action in ("s3:GetObject", "dynamodb:Scan", "kms:Decrypt"):
        assert UNUSED.fullmatch(action)
    (upload,) = [each for each in policy()["Statement"] if "s3:GetObject" in each["Action"]]
    assert upload["Sid"] == "Upload"
