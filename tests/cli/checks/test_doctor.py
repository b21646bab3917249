"""The command doctor: its order, its forms, and how it ends."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError
from click.testing import Result

from cli.doctor import CHECKS
from tests.cli.checks.conftest import Answer, refusal
from tests.cli.conftest import Run, StackInMemory
from tests.support.receivers import SECRET_PARTS

HEALTHY = """\
ok  credentials  arn:aws:sts::123456789012:user/moto
ok  stack        ecr-rescan in eu-west-1, CREATE_COMPLETE
ok  scan type    BASIC, AWS_NATIVE
ok  filter       prod/ matches 2 of 3 repositories
ok  schedule     cron(0 3 * * ? *) is enabled; last run succeeded 3 h ago
ok  oldest scan  run run found an oldest scan of 6 d, and left no image overdue
ok  secrets      slack, teams, webhook, pagerduty
ok  email        2 confirmed subscriptions
ok  rules        7 of 7 enabled
ok  alarm topic  alarms
ok  queues       empty
ok  concurrency  1,000 of the account are not reserved; a run uses up to 30
ok  scan quota   3 of 100,000 scans started in 24 h
ok  version      0.4.0, as this command line

No faults in 14 checks.
"""


def shown(result: Result) -> str:
    """Return what a person sees: rich fills the cells of a table with spaces."""
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


@pytest.fixture
def spoilt(healthy: StackInMemory, clients: Any, answer: Answer) -> None:
    """Give the stack a fault, a warning, and a check that is not allowed."""
    boto3.client("events").disable_rule(Name="RunFinished")
    healthy.outputs["Version"] = "0.3.0"
    answer("lambda", "get_account_settings", refusal("AccessDeniedException"))


def test_finds_nothing_on_a_healthy_stack(clients: Any, run: Run) -> None:
    result = run("doctor")
    assert shown(result) == HEALTHY
    assert (result.exit_code, result.stderr) == (0, "")


def test_shows_what_follows_and_the_repair_below_the_table(spoilt: None, run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 1
    table, _, below = shown(result).partition("\n\n")
    assert "fault      rules        RunFinished is disabled" in table
    assert "warn       version      0.3.0; this command line is 0.4.0" in table
    assert "unchecked  concurrency  Not allowed: " in table
    assert below == (
        "fault rules: what it matches is not reported.\n"
        "  aws events enable-rule --name RunFinished --region eu-west-1\n"
        "\n"
        "warn version: some commands need outputs that it does not have.\n"
        "  make deploy\n"
        "\n"
        "1 fault, 1 warning, 1 not checked in 14 checks.\n"
    )


def test_json_has_every_check_with_its_repair(spoilt: None, run: Run) -> None:
    answer = json.loads(run("doctor", "-o", "json").stdout)
    assert {name: answer[name] for name in ("schema", "stack", "account", "region")} == {
        "schema": 1,
        "stack": "ecr-rescan",
        "account": "123456789012",
        "region": "eu-west-1",
    }
    assert [each["name"] for each in answer["checks"]] == ["credentials", *CHECKS]
    (rules,) = (each for each in answer["checks"] if each["name"] == "rules")
    assert rules == {
        "name": "rules",
        "state": "fault",
        "found": "RunFinished is disabled",
        "follows": "what it matches is not reported.",
        "repair": ["aws events enable-rule --name RunFinished --region eu-west-1"],
    }


def test_csv_has_a_row_for_each_result(spoilt: None, run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("doctor", "-o", "csv").stdout)))
    assert [row["name"] for row in rows] == ["credentials", *CHECKS]
    assert {row["name"]: row["repair"] for row in rows if row["state"] == "fault"} == {
        "rules": "aws events enable-rule --name RunFinished --region eu-west-1"
    }


def test_what_is_not_allowed_is_incomplete(clients: Any, answer: Answer, run: Run) -> None:
    answer("ecr", "get_account_setting", refusal("AccessDeniedException"))
    result = run("doctor")
    assert result.exit_code == 4
    assert "No faults, 1 not checked in 14 checks." in result.stdout


def test_a_check_that_fails_itself_leaves_the_others_and_says_nothing_secret(
    clients: Any, answer: Answer, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    answer("secretsmanager", "get_secret_value", RuntimeError(*SECRET_PARTS))
    result = run("doctor")
    assert result.exit_code == 4
    assert "the check itself failed with RuntimeError: please" in result.stdout
    assert "No faults, 1 not checked in 14 checks." in result.stdout
    written = result.stdout + result.stderr + caplog.text
    assert not [part for part in SECRET_PARTS if part in written]


def test_a_missing_stack_is_a_fault_and_leaves_the_rest_unchecked(
    healthy: StackInMemory, run: Run
) -> None:
    healthy.status = None
    result = run("doctor", "-o", "json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    credentials, stack, *others = answer["checks"]
    assert (credentials["state"], stack["state"]) == ("ok", "fault")
    assert stack["found"].startswith("There is no stack ecr-rescan in eu-west-1 of 123456789012.")
    assert {each["state"] for each in others} == {"unchecked"}


@pytest.mark.parametrize(
    ("options", "deploy"),
    [
        ((), "ecr-rescan deploy --region eu-west-1"),
        (("--stack", "nope"), "ecr-rescan deploy --stack nope --region eu-west-1"),
    ],
)
def test_says_which_stack_it_would_deploy_where_there_is_none(
    healthy: StackInMemory, run: Run, options: tuple[str, ...], deploy: str
) -> None:
    healthy.status = None
    name = options[-1] if options else "ecr-rescan"
    assert shown(run("doctor", *options, width=200)) == (
        "ok     credentials  arn:aws:sts::123456789012:user/moto\n"
        f"fault  stack        There is no stack {name} in eu-west-1 of 123456789012. "
        "Give the name of another one with --stack, or another Region with --region.\n"
        "\n"
        "fault stack: nothing else can be checked.\n"
        "  If it is not deployed yet, in a checkout:\n"
        f"  {deploy}\n"
        "\n"
        "1 fault, 12 not checked in 14 checks.\n"
    )


@pytest.mark.parametrize(
    "error",
    [refusal("AccessDenied"), EndpointConnectionError(endpoint_url="https://cloudformation")],
)
def test_a_stack_that_cannot_be_described_is_unchecked(
    healthy: StackInMemory, monkeypatch: pytest.MonkeyPatch, run: Run, error: Exception
) -> None:
    def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("cli.stack.describe", refuse)
    result = run("doctor", "-o", "json")
    states = [each["state"] for each in json.loads(result.stdout)["checks"]]
    assert result.exit_code == 4
    assert states == ["ok", *["unchecked"] * 13]


def test_without_credentials_nothing_else_is_checked(
    aws: None, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def refuse(_: Any) -> Any:
        raise refusal("ExpiredToken")

    monkeypatch.setattr("cli.stack.Account.identity", property(refuse))
    result = run("doctor", "-o", "json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert answer["account"] is None
    assert answer["checks"][0]["found"].startswith("Your AWS session has expired")
    assert [each["state"] for each in answer["checks"]] == ["fault", *["unchecked"] * 13]


@pytest.mark.parametrize(
    ("error", "found", "repair"),
    [
        (
            NoRegionError(),
            "No Region: give --region, or set AWS_REGION.",
            "Add --region, such as --region eu-west-1.",
        ),
        (
            EndpointConnectionError(endpoint_url="https://sts"),
            'AWS did not answer: Could not connect to the endpoint URL: "https://sts"',
            "Check the network, the proxy, and the name of the Region.",
        ),
        (
            NoCredentialsError(),
            "No AWS credentials: run aws sso login, or set AWS_PROFILE.",
            "aws configure list",
        ),
    ],
)
def test_says_what_gives_it_a_region_a_connection_and_credentials(
    aws: None,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    error: Exception,
    found: str,
    repair: str,
) -> None:
    def refuse(_: Any) -> Any:
        raise error

    monkeypatch.setattr("cli.stack.Account.region", property(refuse))
    assert json.loads(run("doctor", "-o", "json").stdout)["region"] is None
    assert shown(run("doctor", width=120)) == (
        f"fault  credentials  {found}\n"
        "\n"
        "fault credentials: nothing else can be checked.\n"
        f"  {repair}\n"
        "\n"
        "1 fault, 13 not checked in 14 checks.\n"
    )


BROKEN = ("not JSON: {0}", '{{"url": "{0}", "x": 1', '["{0}"]', '{{"url": 5, "routing": "{0}"}}')


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("text", BROKEN)
def test_no_part_of_a_secret_is_shown(
    clients: Callable[[str], Any],
    healthy: StackInMemory,
    run: Run,
    text: str,
    form: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = boto3.client("secretsmanager")
    for parameter in ("SlackWebhookSecretArn", "PagerDutySecretArn"):
        manager.put_secret_value(
            SecretId=healthy.parameters[parameter], SecretString=text.format(*SECRET_PARTS)
        )
    result = run("doctor", "-o", form, "--debug")
    assert result.exit_code == 1
    written = result.stdout + result.stderr + caplog.text
    assert "SLACK" in written
    assert not [part for part in SECRET_PARTS if part in written]
