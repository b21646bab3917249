"""undeploy: what it deletes, what it keeps, and what it asks before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import WaiterError

from tests.cli.conftest import NAME, TERMINAL, Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.clock import NOW
from tests.support.template import REGION

SLACK = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecr-rescan/slack-a1B2c3"
FILE = "ecr-rescan.toml"
ANSWERS = """\
version = 0.1

[default.global.parameters]
stack_name = "{}"
region = "{}"

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
"""
DATA = ["table ledger", "bucket runs", "bucket access-log"]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where there is no file of answers."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> StackInMemory:
    """Deploy a stack with data; AWS has no more of it than its name."""
    boto3.client("dynamodb").create_table(
        TableName="ledger",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3: Any = boto3.client("s3")
    for bucket in ("runs", "access-log"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="runs", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket="runs", Key="accepted-risks.yaml", Body=b"any")
    s3.delete_object(Bucket="runs", Key="accepted-risks.yaml")
    stack = StackInMemory(
        {
            "LedgerTableName": "ledger",
            "RunBucketName": "runs",
            "AccessLogBucketName": "access-log",
        },
        {"SlackWebhookSecretArn": SLACK},
    )
    monkeypatch.setattr("cli.stack.describe", stack.description)
    return stack


def data_left() -> list[str]:
    tables = boto3.client("dynamodb").list_tables()["TableNames"]
    buckets = {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]}
    named = [f"table {name}" for name in tables] + [f"bucket {name}" for name in buckets]
    return [name for name in DATA if name in named]


def test_keeps_the_data_and_says_so(recorded: Recorded, run: Run, stack: StackInMemory) -> None:
    recorded.answer("DeleteStack", {})
    result = run("undeploy", env=TERMINAL, given=f"{NAME}\n")
    assert result.exit_code == 0, result.stderr
    assert recorded.asked["DeleteStack"] == [{"StackName": NAME}]
    assert data_left() == DATA
    assert result.stderr.startswith(
        "The stack ecr-rescan in eu-west-1 of 123456789012, "
        "as arn:aws:sts::123456789012:user/moto\n"
        "This deletes, and nothing brings it back:\n"
        "  stack ecr-rescan in eu-west-1\n"
        "It keeps:\n"
        "  table ledger\n"
        "  bucket runs\n"
        "  bucket access-log\n"
        f"  secret {SLACK}\n"
        "SAM's bucket is kept, too: other applications may use it.\n"
    )
    assert result.stdout.endswith(
        "deleted  stack ecr-rescan in eu-west-1\n"
        "kept     table ledger\n"
        "kept     bucket runs\n"
        "kept     bucket access-log\n"
        f"kept     secret {SLACK}\n"
    )


def test_deletes_the_data_with_all_versions_if_asked(
    recorded: Recorded, run: Run, stack: StackInMemory
) -> None:
    recorded.answer("DeleteStack", {})
    result = run("undeploy", "--delete-data", "--yes", "-o", "json")
    assert result.exit_code == 0, result.stderr
    assert data_left() == []
    answer = json.loads(result.stdout)
    assert answer["deleted"] == ["stack ecr-rescan in eu-west-1", *DATA]
    assert answer["kept"] == [f"secret {SLACK}"]
    assert result.stderr.partition("It keeps:\n")[2].splitlines()[0] == f"  secret {SLACK}"


def test_what_is_gone_already_counts_as_deleted(
    recorded: Recorded, run: Run, stack: StackInMemory
) -> None:
    boto3.client("dynamodb").delete_table(TableName="ledger")
    boto3.client("s3").delete_bucket(Bucket="access-log")
    recorded.answer("DeleteStack", {})
    result = run("undeploy", "--delete-data", "--yes", "-o", "csv")
    assert result.stdout.splitlines() == [
        "resource,state",
        "stack ecr-rescan in eu-west-1,deleted",
        *(f"{name},deleted" for name in DATA),
        f"secret {SLACK},kept",
    ]
    assert data_left() == []


def test_names_what_could_not_be_deleted(
    recorded: Recorded, run: Run, stack: StackInMemory
) -> None:
    """S3 delivers to an access log for some hours; a backup of a table can be in progress."""
    recorded.answer("DeleteStack", {})
    recorded.answer("DeleteTable", refused("DeleteTable", "ResourceInUseException"))
    recorded.answer("DeleteBucket", {}, refused("DeleteBucket", "BucketNotEmpty"))
    result = run("undeploy", "--delete-data", "--yes")
    assert result.exit_code == 4, result.stderr
    assert result.stdout == (
        "deleted  stack ecr-rescan in eu-west-1\n"
        "deleted  bucket runs\n"
        "kept     table ledger\n"
        "kept     bucket access-log\n"
        f"kept     secret {SLACK}\n"
        "Not everything could be deleted. Repair what is said above, then run:\n"
        "  export AWS_REGION=eu-west-1\n"
        "  export table=ledger\n"
        "  export buckets=access-log\n"
        "and the commands that delete data: docs/operations.md#uninstall\n"
    )
    assert result.stderr.endswith(
        "Not deleted: table ledger. DeleteTable: ResourceInUseException: no\n"
        "Not deleted: bucket access-log. DeleteBucket: BucketNotEmpty: no\n"
    )


def test_what_is_denied_for_one_resource_keeps_no_other(
    recorded: Recorded, run: Run, stack: StackInMemory
) -> None:
    """The stack is deleted by then, and a repetition would not find what it has left."""
    recorded.answer("DeleteStack", {})
    recorded.answer("DeleteTable", refused("DeleteTable", "AccessDeniedException"))
    result = run("undeploy", "--delete-data", "--yes", "-o", "json")
    assert result.exit_code == 4
    assert "Not deleted: table ledger. Not allowed: " in result.stderr
    assert data_left() == ["table ledger"]
    answer = json.loads(result.stdout)
    assert answer["kept"] == ["table ledger", f"secret {SLACK}"]
    assert answer["finish"] == ["export AWS_REGION=eu-west-1", "export table=ledger"]


def test_an_object_that_s3_keeps_is_named_by_its_error(
    recorded: Recorded, run: Run, stack: StackInMemory, profile: None
) -> None:
    """DeleteObjects answers with 200, and an error per object."""
    denied = {"Key": "a", "VersionId": "1", "Code": "AccessDenied", "Message": "Access Denied"}
    recorded.answer("DeleteStack", {})
    recorded.answer("DeleteObjects", {"Errors": [denied, denied]})
    result = run("undeploy", "--delete-data", "--yes", "--profile", "prod")
    assert result.exit_code == 4
    assert "Not deleted: bucket runs. Not allowed: s3:DeleteObjectVersion. " in result.stderr
    assert "  export AWS_PROFILE=prod\n  export buckets=runs\n" in result.stdout
    assert data_left() == ["bucket runs"]


def test_deletes_the_stack_in_the_account_of_the_profile_of_the_file(
    recorded: Recorded, run: Run, stack: StackInMemory, profile: None
) -> None:
    Path(FILE).write_text(
        ANSWERS.format(NAME, REGION).replace("region", 'profile = "prod"\nregion')
    )
    recorded.answer("DeleteStack", {})
    recorded.answer("GetCallerIdentity", refused("GetCallerIdentity", "ExpiredToken"))
    result = run("undeploy", "--yes")
    assert (
        result.stderr == "The session of profile prod has expired: aws sso login --profile prod\n"
    )
    assert recorded.asked["DeleteStack"] == []


@pytest.mark.parametrize(
    "status", ["CREATE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"]
)
def test_a_first_deployment_that_failed_has_no_data(
    recorded: Recorded, run: Run, stack: StackInMemory, status: str
) -> None:
    stack.outputs, stack.parameters, stack.status = {}, {}, status
    recorded.answer("DeleteStack", {})
    result = run("undeploy", "--yes", "--delete-data")
    assert (result.exit_code, result.stdout) == (0, "deleted  stack ecr-rescan in eu-west-1\n")
    assert "It keeps:" not in result.stderr


def test_gives_the_reasons_if_the_stack_is_not_deleted(
    recorded: Recorded, run: Run, stack: StackInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **options: object) -> None:
        raise WaiterError("StackDeleteComplete", "DELETE_FAILED", {})

    monkeypatch.setattr("botocore.waiter.Waiter.wait", fail)
    recorded.answer("DeleteStack", {})
    recorded.answer(
        "DescribeStackEvents",
        {
            "StackEvents": [
                {
                    "StackId": "arn:stack",
                    "EventId": "1",
                    "StackName": NAME,
                    "Timestamp": NOW,
                    "LogicalResourceId": "AlarmTopic",
                    "PhysicalResourceId": "physical",
                    "ResourceStatus": "DELETE_FAILED",
                    "ResourceStatusReason": "not authorized",
                }
            ]
        },
    )
    result = run("undeploy", "--delete-data", "--yes")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "The stack ecr-rescan was not deleted:\n"
        "  AlarmTopic: not authorized\n"
        "Repair that, and repeat.\n"
    )
    assert data_left() == DATA


@pytest.mark.parametrize(("file", "options"), [(FILE, ()), ("other", ("--config", "other"))])
def test_deletes_the_stack_of_the_file(
    recorded: Recorded, run: Run, stack: StackInMemory, file: str, options: tuple[str, ...]
) -> None:
    """The stack of the tests is in another Region than the operator's, who does not name it."""
    Path(file).write_text(ANSWERS.format(NAME, REGION))
    recorded.answer("DeleteStack", {})
    result = run("undeploy", "--yes", *options, env={"AWS_REGION": "us-east-1"})
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("deleted  stack ecr-rescan in eu-west-1\n")


class TestNothingIsDeleted:
    @pytest.fixture
    def nothing(self, recorded: Recorded) -> Callable[[], None]:
        recorded.answer("DeleteStack", {})

        def check() -> None:
            assert recorded.asked["DeleteStack"] == []
            assert data_left() == DATA

        return check

    @pytest.mark.parametrize("typed", ["yes\n", "\n", ""])
    def test_after_another_name(
        self, nothing: Callable[[], None], run: Run, stack: StackInMemory, typed: str
    ) -> None:
        result = run("undeploy", "--delete-data", env=TERMINAL, given=typed)
        assert (result.exit_code, result.stdout.strip()) == (1, "")
        assert result.stderr.endswith("That is not the name. Nothing was changed.\n")
        nothing()

    def test_where_no_one_can_be_asked(
        self, nothing: Callable[[], None], run: Run, stack: StackInMemory
    ) -> None:
        result = run("undeploy")
        assert result.exit_code == 2
        assert result.stderr.endswith(
            "Name of the stack, to delete it? Give --yes, because this is not a terminal.\n"
        )
        nothing()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "There is no stack two in us-east-1 of 123456789012. What a deleted "),
            (("--stack", NAME), f"{FILE} is of the stack two, and --stack is {NAME}.\n"),
            (("--region", REGION), f"{FILE} is of us-east-1, and --region is {REGION}.\n"),
            (("--config", "missing"), "missing cannot be read: "),
        ],
    )
    def test_of_another_stack_than_the_file_names(
        self,
        nothing: Callable[[], None],
        run: Run,
        stack: StackInMemory,
        options: tuple[str, ...],
        said: str,
    ) -> None:
        Path(FILE).write_text(ANSWERS.format("two", "us-east-1"))
        result = run("undeploy", "--delete-data", "--yes", *options)
        assert result.exit_code == (2 if options else 3)
        assert result.stderr.startswith(said)
        nothing()

    def test_without_a_stack(
        self, nothing: Callable[[], None], run: Run, stack: StackInMemory
    ) -> None:
        stack.status = None
        result = run("undeploy", "--yes")
        assert (result.exit_code, result.stderr) == (
            3,
            "There is no stack ecr-rescan in eu-west-1 of 123456789012.\n",
        )
        assert run("undeploy", "--yes", "--delete-data").stderr.endswith(
            " What a deleted stack has left: docs/operations.md#uninstall\n"
        )
        nothing()

    def test_of_a_version_that_keeps_no_data(
        self, nothing: Callable[[], None], run: Run, stack: StackInMemory
    ) -> None:
        """0.3.0 has no such output, and CloudFormation would delete its ledger."""
        del stack.outputs["AccessLogBucketName"]
        result = run("undeploy", "--yes")
        assert result.exit_code == 3
        assert "has no output AccessLogBucketName" in result.stderr
        nothing()
