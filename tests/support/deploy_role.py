"""The policy of a role that deploys from CI, made from what CloudFormation says it calls.

The schemas of CloudFormation, which cfn-lint has, name the permissions of each kind of resource,
also those for features that the template does not use.
"""

import json
import re
from collections import defaultdict
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

# Of the expanded template; tests.support.expanded compares.
KINDS = (
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachine",
)
# What only features need that the template does not have.
UNUSED = re.compile(
    r"(ec2|elasticfilesystem|firehose|kinesis|kms|s3files|s3tables):.*"  # no VPC, no key, no stream
    r"|dynamodb:(.*(Import|Kinesis|Replica|Insights|ResourcePolicy).*)"
    r"|dynamodb:(Scan|Query|BatchWriteItem|(Get|Put|Update|Delete)Item)"  # of global tables
    r"|iam:(CreateServiceLinkedRole|.*(User|Group)Policy)"
    r"|lambda:.*(CodeSigning|Capacity|Scaling|Recursion|RuntimeManagement|LayerVersion).*"
    r"|lambda:(AssociateRuntimeAlias|PublishVersion)"
    r"|logs:.*(DataProtection|Index|BearerToken|DeletionProtection|KmsKey|ResourcePolic|Stream).*"
    r"|logs:(CreateLogDelivery|PutLogEvents)"
    r"|s3:(REST.*|Get(Object.*)|PutObjectAcl|PutBucketAcl|DeleteObject|.*Abac"
    r"|.*(Accelerate|Analytics|Cors|CORS|Inventory|Metadata|Metrics|Notification|ObjectLock|Tiering"
    r"|Website).*|.*Put.*Replication.*|DeleteBucketReplication)"
    r"|sns:.*DataProtection.*"
)
# IAM knows no resource for these, or the name is not known before.
UNNAMED = re.compile(
    r"cloudwatch:DescribeAlarms|events:.*|lambda:.*EventSourceMapping|lambda:(Tag|Untag)Resource"
    r"|lambda:ListTags|logs:.*|scheduler:.*|sns:(Get|Set)SubscriptionAttributes|sns:Unsubscribe"
    r"|states:.*"
)
NAMES = {
    "cloudwatch": ["alarm:ecr-rescan-*", "dashboard/ecr-rescan*"],
    "dynamodb": ["table/ecr-rescan-*"],
    "iam": ["role/ecr-rescan-*"],
    "lambda": ["function:ecr-rescan-*"],
    "s3": ["ecr-rescan-*"],
    "sns": ["ecr-rescan-*"],
    "sqs": ["ecr-rescan-*"],
}
STACKS = ("stack/ecr-rescan/*", "stack/aws-sam-cli-managed-default/*")
CALLED_BY_SAM = (
    "CreateChangeSet",
    "DeleteStack",
    "DescribeChangeSet",
    "DescribeStackEvents",
    "DescribeStackResources",
    "DescribeStacks",
    "ExecuteChangeSet",
    "GetTemplate",
    "GetTemplateSummary",
    "ListStackResources",
)


def called(kind: str) -> set[str]:
    """Return the actions for creating, reading, updating and deleting a kind of resource."""
    handlers: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-east-1", kind
    ).schema["handlers"]
    actions = {
        action
        for name, handler in handlers.items()
        if name != "list"
        for action in handler["permissions"]
    }
    return {action for action in actions if not UNUSED.fullmatch(action)}


def policy() -> dict[str, Any]:
    """Make the policy of the role, for a stack whose name is ecr-rescan."""
    named, unnamed = defaultdict[str, list[str]](list), list[str]()
    for action in sorted(set().union(*map(called, KINDS))):
        service = action.partition(":")[0]
        (unnamed if UNNAMED.fullmatch(action) else named[service]).append(action)
    statements = [_statement("Check", ["ecr:GetRegistryScanningConfiguration"], ["*"])]
    statements += [
        _statement(
            "Deploy",
            [f"cloudformation:{name}" for name in CALLED_BY_SAM],
            [*map(_arn("cloudformation"), STACKS)],
        ),
        _statement(
            "ExpandServerlessTemplates",
            ["cloudformation:CreateChangeSet"],
            ["arn:aws:cloudformation:*:aws:transform/Serverless-2016-10-31"],
        ),
        _statement(
            "Upload",
            ["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
            [f"arn:aws:s3:::aws-sam-cli-managed-default-{part}" for part in ("*", "*/*")],
        ),
    ]
    statements += [
        _statement(f"Change{service.title()}", actions, [*map(_arn(service), NAMES[service])])
        for service, actions in named.items()
    ]
    statements.append(_statement("ChangeWhatHasNoNameOfTheStack", unnamed, ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


def policy_text() -> str:
    """Write the policy for a document: one line per statement and part, so that it is short."""
    lines = ",\n".join(
        "    {"
        + ",\n     ".join(f'"{name}": {json.dumps(value)}' for name, value in statement.items())
        + "}"
        for statement in policy()["Statement"]
    )
    return f'```json\n{{\n  "Version": "2012-10-17",\n  "Statement": [\n{lines}\n  ]\n}}\n```\n'


def _statement(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _arn(service: str) -> Any:
    if service == "s3":
        return "arn:aws:s3:::{}".format
    if service == "iam":
        return "arn:aws:iam::123456789012:{}".format
    return f"arn:aws:{service}:*:123456789012:{{}}".format
