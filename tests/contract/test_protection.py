"""What protects the data of a stack: encryption, TLS, backups, and that it outlives the stack."""

import re
import subprocess
from typing import Any

import pytest

from tests.support.template import ROOT, resolved, resources, template

PARAMETERS = template()["Parameters"]
BUCKETS = resources("AWS::S3::Bucket")
TABLES = resources("AWS::DynamoDB::Table")
QUEUES = resources("AWS::SQS::Queue")
TOPICS = resources("AWS::SNS::Topic")
# By kind of resource: the kind of its policy, and the property of that which names it.
POLICIES = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
}
# What a plain text request could do: SNS knows no pattern for its actions in the policy of a topic.
DENIED = {"AWS::S3::Bucket": "s3:*", "AWS::SQS::Queue": "sqs:*", "AWS::SNS::Topic": "sns:Publish"}
OF_A_POLICY = [(kind, name) for kind in POLICIES for name in resources(kind)]


def statements(kind: str, name: str) -> list[dict[str, Any]]:
    """List the statements of the one policy that names a resource."""
    policy_kind, member = POLICIES[kind]
    (policy,) = [
        policy
        for policy in resources(policy_kind).values()
        if policy[member] in ({"Ref": name}, [{"Ref": name}])
    ]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


@pytest.mark.parametrize(("kind", "name"), OF_A_POLICY)
def test_plain_text_is_refused(kind: str, name: str) -> None:
    first, *_ = statements(kind, name)
    assert first["Sid"] == "RefusePlainText"
    assert (first["Effect"], first["Principal"], first["Action"]) == ("Deny", "*", DENIED[kind])
    assert first["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = {"Fn::GetAtt": [name, "Arn"]}
    assert first["Resource"] == {
        "AWS::S3::Bucket": [arn, {"Fn::Sub": f"${{{name}.Arn}}/*"}],
        "AWS::SQS::Queue": arn,
        "AWS::SNS::Topic": {"Ref": name},
    }.get(kind)


@pytest.mark.parametrize(("kind", "name"), OF_A_POLICY)
def test_a_service_is_let_in_for_this_account_alone(kind: str, name: str) -> None:
    for statement in statements(kind, name)[1:]:
        assert statement["Effect"] == "Allow"
        assert statement["Principal"].keys() == {"Service"}
        account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        if statement["Principal"]["Service"] == "events.amazonaws.com":
            # AWS documents no other key for queues, and an ARN of ours names the account:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
            assert statement["Condition"].keys() == {"ArnEquals"}
            assert statement["Condition"]["ArnEquals"].keys() == {"aws:SourceArn"}
        else:
            assert statement["Condition"]["StringEquals"] == account


def test_data_outlives_the_stack_unless_its_first_deployment_fails() -> None:
    assert BUCKETS.keys() == {"RunBucket", "AccessLogBucket"}
    assert TABLES.keys() == {"LedgerTable"}
    for name, resource in template()["Resources"].items():
        policies = [resource.get(each) for each in ("DeletionPolicy", "UpdateReplacePolicy")]
        is_kept = name in {*BUCKETS, *TABLES}
        assert policies == (["RetainExceptOnCreate", "Retain"] if is_kept else [None, None])


def test_the_ledger_can_be_restored() -> None:
    (table,) = TABLES.values()
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS)
def test_versions_are_kept_for_30_days_and_leave_nothing(bucket: dict[str, Any]) -> None:
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    whole = [each for each in bucket["LifecycleConfiguration"]["Rules"] if "Prefix" not in each]
    merged = {key: value for rule in whole for key, value in rule.items()}
    assert merged["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert merged["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert merged["ExpiredObjectDeleteMarker"] is True
    for rule in bucket["LifecycleConfiguration"]["Rules"]:
        assert rule["Status"] == "Enabled"
        # S3 refuses both in one rule.
        assert not {"ExpiredObjectDeleteMarker", "ExpirationInDays"} <= rule.keys()


def test_runs_and_digests_expire_and_accepted_risks_do_not() -> None:
    rules = BUCKETS["RunBucket"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule.get("Prefix"): rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expiring == {key: {"Ref": "RunRetentionDays"} for key in ("runs/", "digests/")}
    assert not any("ExpirationInDays" in rule for rule in rules if "Prefix" not in rule)
    assert PARAMETERS["RunRetentionDays"]["MinValue"] > 14  # a redrive reads the list again


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS)
def test_a_bucket_is_private_and_encrypted(bucket: dict[str, Any]) -> None:
    assert bucket["BucketEncryption"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_what_is_kept_elsewhere_is_encrypted_and_forgotten_in_time() -> None:
    (table,) = TABLES.values()
    assert table["SSESpecification"]["SSEEnabled"] is True
    for queue in QUEUES.values():
        assert queue["SqsManagedSseEnabled"] is True
    assert "KmsMasterKeyId" not in TOPICS["AlarmTopic"]  # CloudWatch could not publish to it
    for topic in TOPICS.keys() - {"AlarmTopic"}:
        assert TOPICS[topic]["KmsMasterKeyId"] == "alias/aws/sns"
    for group in resources("AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_requests_for_the_run_bucket_are_logged_by_s3_alone() -> None:
    logging = BUCKETS["RunBucket"]["LoggingConfiguration"]
    assert logging == {"DestinationBucketName": {"Ref": "AccessLogBucket"}}
    assert "LoggingConfiguration" not in BUCKETS["AccessLogBucket"]  # a log of the log has no end
    _, write = statements("AWS::S3::Bucket", "AccessLogBucket")
    assert write["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert write["Action"] == "s3:PutObject"
    run_bucket = {"Fn::GetAtt": ["RunBucket", "Arn"]}
    assert write["Condition"]["ArnEquals"] == {"aws:SourceArn": run_bucket}


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
RECORD = (
    "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 "
    "[{time} +0000] 192.0.2.3 {requester} 3E57427F3EXAMPLE {operation} {key} "
    '"{request} /{key} HTTP/1.1" 200 - - 1318 7 6 "-" "aws-cli/2.17.0 md/awscrt#0.20.11" {version} '
    "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= SigV4 "
    "ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com "
    "TLSV1.2 - Yes us-east-1"
)
SESSION = "arn:aws:sts::123456789012:assumed-role/Developer/jane@example.com"


def test_the_documented_command_shows_who_changed_the_accepted_risks() -> None:
    text = (ROOT / "docs" / "accepted-risks.md").read_text()
    (program,) = re.findall(r"^sed -nE '(.*)' access-log/\*$", text, re.M)
    records = [
        {"operation": "REST.PUT.OBJECT", "request": "PUT", "version": "3HL4kqtJlcpXroDTDmJ"},
        {"operation": "REST.GET.OBJECT", "request": "GET", "version": "-"},
        {"operation": "REST.DELETE.OBJECT", "request": "DELETE", "version": "null"},
        {"operation": "BATCH.DELETE.OBJECT", "request": "POST", "version": "kqtJlcp"},
    ]
    common = {"time": "06/Nov/2026:00:00:38", "requester": SESSION}
    lines = [RECORD.format(**common, **record, key="accepted-risks.yaml") for record in records]
    lines += [RECORD.format(**common, **records[0], key="runs/a/accepted-risks.yaml")]

    shown = subprocess.run(
        ["sed", "-nE", program], input="\n".join(lines), text=True, capture_output=True, check=True
    ).stdout

    assert shown.splitlines() == [
        f"06/Nov/2026:00:00:38 +0000 {SESSION} {record['operation']} 200 {record['version']}"
        for record in records
        if record["request"] != "GET"
    ]


def test_a_skipped_check_has_its_reason_beside_the_resource() -> None:
    text = (ROOT / "template.yaml").read_text()
    skips = re.findall(r"^.*checkov:skip.*$", text, re.M)
    assert skips
    for skip in skips:
        assert re.fullmatch(r"    # checkov:skip=CKV_AWS_[0-9]+:\w+( \S+){3,}", skip), skip
    assert "--skip-check" not in (ROOT / "Makefile").read_text()
    assert not list(ROOT.glob(".checkov*"))


NOTIFYING = ("InterpretEvent", "ComposeNotification", "PostToWebhook")


def test_concurrency_is_reserved_for_what_notifies_and_by_default_for_nothing() -> None:
    reserving = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in resources("AWS::Serverless::Function").items()
        if "ReservedConcurrentExecutions" in function
    }
    reserved = {
        "Fn::If": ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }
    assert reserving == {f"{name}Function": reserved for name in NOTIFYING}
    assert PARAMETERS["ReservedConcurrency"]["Default"] == 0
    assert resolved(reserved, {"ReservedConcurrency": "10"}) == "10"
    assert resolved(reserved) == "AWS::NoValue"
