"""init and deploy: what is asked, what is checked before a build, and how a deployment ends."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli import questions
from cli.answers import read_answers
from cli.checkout import checkout_here
from cli.exits import CommandError, UsageError
from cli.stack import Account
from tests.cli.conftest import NAME, TERMINAL, Run, StackInMemory
from tests.cli.recorded import Recorded, refused
from tests.support.clock import NOW
from tests.support.template import REGION, ROOT

FILE = "ecr-rescan.toml"
ENOUGH = "[default.deploy.parameters.parameter_overrides]\n"


@dataclass
class Tools:
    """make and SAM, which only note what they are asked for.

    deploys: what SAM does to the stack; codes: exit codes by the name of the program.
    """

    asked: list[list[str]] = field(default_factory=list)
    deploys: Callable[[], None] = lambda: None
    codes: dict[str, int] = field(default_factory=dict)

    def run(self, command: tuple[str, ...], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options["stdout"] == 2
        name = Path(command[0]).name
        self.asked.append([name, *command[1:]])
        if name == "sam":
            self.deploys()
        return subprocess.CompletedProcess(command, self.codes.get(name, 0))


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "template.yaml").symlink_to(ROOT / "template.yaml")
    (tmp_path / "Makefile").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    tools = Tools()
    monkeypatch.setattr("cli.checkout.subprocess.run", tools.run)
    return tools


class DeployedStack(StackInMemory):
    """A stack that can be changed."""

    has_changed = False

    def description(self, account: Account, name: str, region: str | None = None) -> Any:
        found = super().description(account, name, region)
        if found and self.has_changed:
            found["LastUpdatedTime"] = NOW + timedelta(hours=1)
        return found

    def create(self) -> None:
        self.status = "CREATE_COMPLETE"

    def update(self) -> None:
        self.has_changed = True


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    stack = DeployedStack({"LedgerTableName": "ledger", "Version": "0.4.0"})
    monkeypatch.setattr("cli.stack.describe", stack.description)
    return stack


@pytest.fixture
def repositories(aws: None) -> None:
    for name in ("prod/api", "prod/web", "team/etl"):
        boto3.client("ecr").create_repository(repositoryName=name)


def answer_file(*lines: str, header: str = "") -> None:
    Path(FILE).write_text(header + ENOUGH + "\n".join(lines))


class TestInit:
    def ask(self, run: Run, *answers: str, arguments: tuple[str, ...] = ()) -> Any:
        given = "\n".join(answers) + "\n"
        return run("init", *arguments, env=TERMINAL, given=given)

    def test_writes_the_defaults_that_differ_and_no_secret(
        self, run: Run, stack: DeployedStack, repositories: None
    ) -> None:
        stack.status = None
        slack = "https://hooks.slack.com/services/T0/B0/SECRET"
        result = self.ask(run, "ops@example.com", slack, "prod/", "4:05", "single", "")
        assert result.exit_code == 0, result.stderr
        secret = boto3.client("secretsmanager").get_secret_value(SecretId="ecr-rescan/slack")
        assert json.loads(secret["SecretString"]) == {"url": slack}
        answers = read_answers(Path(FILE))
        assert (answers.stack, answers.region) == (NAME, REGION)
        assert answers.parameters == {
            "AlertEmail": "ops@example.com",
            "RepositoryFilter": "prod/",
            "ScheduleExpression": "cron(5 4 * * ? *)",
            "ScheduleTimezone": "Europe/Berlin",
            "DigestChannels": "NONE",
            "SlackWebhookSecretArn": secret["ARN"],
        }
        assert "SECRET" not in Path(FILE).read_text() + result.output
        assert "It matches 2 of 3 repositories." in result.stderr
        assert "Made the secret ecr-rescan/slack." in result.stderr
        assert (
            f"Wrote {FILE}, with the default of every other parameter:\n"
            '  ScheduleExpression = "cron(5 4 * * ? *)"\n'
        ) in result.stdout

    def test_asks_six_questions_and_takes_the_defaults(
        self, run: Run, stack: DeployedStack
    ) -> None:
        stack.status = None
        result = self.ask(run, *[""] * 6)
        assert result.exit_code == 0, result.stderr
        assert read_answers(Path(FILE)).parameters == {"ScheduleTimezone": "Europe/Berlin"}
        assert boto3.client("secretsmanager").list_secrets()["SecretList"] == []

    def test_asks_again_until_an_answer_can_be_used(
        self, run: Run, stack: DeployedStack, repositories: None
    ) -> None:
        stack.status = None
        result = self.ask(
            run,
            *("ops", "ops@example.com"),
            *("http://hooks.slack.com/SECRET", ""),
            *("(", "a{99999999999}", "(a+)+$", "stage/", "team/"),
            *("noon", "03:00 Europe/Nowhere", "3:00 UTC"),
            *("sometimes", "Digest"),
            *("arn:aws:sns:eu-west-1:123456789012:ops.fifo", ""),
        )
        assert result.exit_code == 0, result.stderr
        for said in (
            "It must be empty or an email address.",
            "Error: It must be https://host/path, optionally with a port",
            "It cannot be used: ( is not a regular expression: missing ), unterminated",
            "It cannot be used: a{99999999999} is not a regular expression: the repetition",
            "It matches none of 3 repositories.",
            "It must be a time of day, such as 03:00 or 03:00 Europe/Berlin.",
            "Europe/Nowhere is no time zone",
            "It must be digest or single.",
            "It must be empty or the ARN of a standard SNS topic.",
        ):
            assert said in result.stderr
        assert "SECRET" not in result.output
        assert read_answers(Path(FILE)).parameters == {
            "AlertEmail": "ops@example.com",
            "RepositoryFilter": "team/",
        }

    def test_gives_a_secret_that_exists_a_new_value(self, run: Run, stack: DeployedStack) -> None:
        stack.status = None
        secrets = boto3.client("secretsmanager")
        made = secrets.create_secret(Name="ecr-rescan/slack", SecretString="{}")
        result = self.ask(run, "", "https://hooks.slack.com/new", "", "", "", "")
        assert "The secret ecr-rescan/slack exists: it has a new value now." in result.stderr
        assert secrets.get_secret_value(SecretId=made["ARN"])["SecretString"] == (
            '{"url": "https://hooks.slack.com/new"}'
        )

    def test_lists_all_pages_of_the_registry(
        self, recorded: Recorded, run: Run, stack: DeployedStack
    ) -> None:
        stack.status = None
        recorded.answer(
            "DescribeRepositories",
            {"repositories": [{"repositoryName": "aa"}], "nextToken": "more"},
            {"repositories": [{"repositoryName": "bb"}]},
        )
        assert "empty: all 2." in self.ask(run, *[""] * 6).stderr

    def test_takes_the_parameters_of_a_stack_that_exists(
        self, run: Run, stack: DeployedStack
    ) -> None:
        stack.parameters = {"RescanAfter": "36h", "RepositoryFilter": 'a"b', "DigestMode": "DAILY"}
        result = run("init", env=TERMINAL)
        assert result.exit_code == 0, result.stderr
        assert read_answers(Path(FILE)).parameters == {
            "RescanAfter": "36h",
            "RepositoryFilter": 'a"b',
        }
        assert result.stderr == (
            "This version has no DigestMode: docs/upgrading.md says what replaces them.\n"
        )

    def test_answers_in_json_and_csv(self, run: Run, stack: DeployedStack) -> None:
        stack.parameters = {"RescanAfter": "36h"}
        written = json.loads(run("init", "--config", "a.toml", "-o", "json").stdout)
        assert (written["stack"], written["region"]) == (NAME, REGION)
        assert (written["file"], written["parameters"]) == ("a.toml", {"RescanAfter": "36h"})
        rows = run("init", "--config", "b.toml", "-o", "csv").stdout
        assert rows.splitlines() == ["parameter,value", "RescanAfter,36h"]

    def test_needs_a_terminal_for_questions(self, run: Run, stack: DeployedStack) -> None:
        stack.status = None
        result = run("init")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            "init asks questions, and there is no terminal: docs/deploying.md has a file to copy.\n"
        )

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            ("missing/mine.toml", "No such file or directory"),
            ("Makefile/mine.toml", "Not a directory"),
        ],
    )
    @pytest.mark.parametrize("command", ["init", "deploy"])
    def test_asks_nothing_if_the_answers_cannot_be_written(
        self, run: Run, stack: DeployedStack, config: str, reason: str, command: str
    ) -> None:
        stack.status = None
        result = run(command, "--config", config, env=TERMINAL, given="ops@example.com\n")
        assert (result.exit_code, result.stderr) == (
            2,
            f"{config} cannot be written: {reason}. Give another --config.\n",
        )

    def test_overwrites_no_file(self, run: Run, aws: None) -> None:
        Path(FILE).write_text("mine")
        result = run("init", env=TERMINAL)
        assert result.exit_code == 2
        assert result.stderr == (
            f"{FILE} exists: edit it, then deploy; or give another with --config.\n"
        )
        assert Path(FILE).read_text() == "mine"


@pytest.mark.parametrize(
    ("variable", "link", "zone"),
    [
        ("America/Lima", "/usr/share/zoneinfo/Europe/Rome", "America/Lima"),
        ("", "/usr/share/zoneinfo/Europe/Rome", "Europe/Rome"),
        ("", "/usr/share/zoneinfo/Nowhere", "UTC"),
        (":/etc/localtime", "/etc/elsewhere", "UTC"),
    ],
)
def test_the_time_zone_is_that_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, link: str, zone: str
) -> None:
    localtime = tmp_path / "localtime"
    localtime.symlink_to(link)
    monkeypatch.setattr(questions, "LOCALTIME", localtime)
    monkeypatch.setattr(
        "zoneinfo.available_timezones", lambda: {"America/Lima", "Europe/Rome", "UTC"}
    )
    monkeypatch.setenv("TZ", variable)
    assert questions.local_timezone() == zone


class TestDeploy:
    def test_builds_and_deploys_what_the_file_says(
        self, run: Run, stack: DeployedStack, tools: Tools, checkout: Path
    ) -> None:
        stack.status, stack.parameters = None, {"AlertEmail": "ops@example.com"}
        tools.deploys = stack.create
        answer_file('AlertEmail = "ops@example.com"')
        result = run("deploy", "--yes")
        assert result.exit_code == 0, result.stderr
        assert tools.asked == [
            ["make", "build"],
            [
                *("sam", "deploy", "--config-file", str(checkout / FILE)),
                *("--no-fail-on-empty-changeset", "--stack-name", NAME, "--region", REGION),
                "--no-confirm-changeset",
            ],
        ]
        assert result.stdout == (
            "ecr-rescan 0.4.0 in eu-west-1: CREATE_COMPLETE\n"
            "\n"
            "LedgerTableName           ledger\n"
            "Version                   0.4.0\n"
            "\n"
            "AWS sends emails to ops@example.com: confirm each subscription.\n"
            "Next, see whether all is in place, and what a run would start; then start the first:\n"
            "  ecr-rescan doctor\n"
            "  ecr-rescan plan\n"
            "  ecr-rescan run\n"
        )
        assert result.stderr.startswith("The stack ecr-rescan in eu-west-1 of 123456789012, as arn")

    def test_an_update_says_whether_anything_changed(
        self, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        answer_file()
        unchanged = run("deploy", "--yes")
        assert unchanged.stdout.startswith(
            "ecr-rescan 0.4.0 in eu-west-1: CREATE_COMPLETE; nothing was changed\n"
        )
        assert "Alarms reach no one: set AlertEmail or AlarmTopicArn.\n" in unchanged.stdout
        tools.deploys = stack.update
        changed = json.loads(run("deploy", "--yes", "-o", "json").stdout)
        assert changed["has_changed"] is True
        assert changed["outputs"] == {"LedgerTableName": "ledger", "Version": "0.4.0"}
        assert changed["next"] == ["ecr-rescan doctor", "ecr-rescan plan"]
        rows = run("deploy", "--yes", "-o", "csv").stdout.splitlines()
        assert rows == ["output,value", "LedgerTableName,ledger", "Version,0.4.0"]

    def test_lists_what_the_stack_keeps(self, run: Run, stack: DeployedStack, tools: Tools) -> None:
        """SAM sends UsePreviousValue for what the file does not name."""
        stack.parameters = {"HighThreshold": "2", "LowThreshold": "off", "RescanAfter": "36h"}
        stack.parameters["RepositoryFilter"] = r"api\-gw"
        answer_file('LowThreshold = "off"')
        result = run("deploy", "--yes")
        assert result.stderr.partition("\n")[2] == (
            "Kept, because the file does not name them; to reset one, write its default there:\n"
            r'  RepositoryFilter = "api\\-gw", not ""'
            "\n"
            '  RescanAfter = "36h", not "7d"\n'
            '  HighThreshold = "2", not "0"\n'
        )

    def test_lets_sam_ask_on_a_terminal_and_passes_the_profile(
        self, run: Run, stack: DeployedStack, tools: Tools, profile: None
    ) -> None:
        answer_file()
        result = run("deploy", "--profile", "prod", env=TERMINAL)
        assert result.exit_code == 0, result.stderr
        assert tools.asked[1][-3:] == ["--confirm-changeset", "--profile", "prod"]

    @pytest.mark.parametrize("is_new", [True, False])
    def test_an_answer_of_no_to_sam_ends_with_1(
        self, recorded: Recorded, run: Run, stack: DeployedStack, tools: Tools, is_new: bool
    ) -> None:
        """SAM itself ends with 0, and the stack is as it is after an empty change set."""

        def left(*names: str) -> dict[str, Any]:
            executed = {"ChangeSetId": "executed", "ExecutionStatus": "EXECUTE_COMPLETE"}
            listed = [{"ChangeSetId": each, "ExecutionStatus": "AVAILABLE"} for each in names]
            return {"Summaries": [executed, *listed]}

        def prepare() -> None:
            stack.status = "REVIEW_IN_PROGRESS" if is_new else stack.status
            recorded.answer("ListChangeSets", left("old", "new"))

        recorded.answer("ListChangeSets", left("old"))
        stack.status = None if is_new else stack.status
        answer_file()
        tools.deploys = prepare
        result = run("deploy", env=TERMINAL)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith("\nNothing was deployed.\n")

    def test_a_change_set_that_was_left_before_is_no_answer(
        self, recorded: Recorded, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        listed = {"Summaries": [{"ChangeSetId": "old", "ExecutionStatus": "AVAILABLE"}]}
        recorded.answer("ListChangeSets", listed)
        answer_file()
        result = run("deploy", env=TERMINAL)
        assert result.exit_code == 0, result.stderr
        assert "; nothing was changed\n" in result.stdout

    def test_makes_the_file_the_first_time(
        self, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        stack.parameters = {"RescanAfter": "36h"}
        result = run("deploy", env=TERMINAL)
        assert result.exit_code == 0, result.stderr
        assert read_answers(Path(FILE)).parameters == {"RescanAfter": "36h"}
        assert f"Wrote {FILE}, with the default" in result.stderr
        assert "Wrote" not in result.stdout

    def test_the_file_names_the_stack_and_the_region(
        self, run: Run, aws: None, tools: Tools
    ) -> None:
        answer_file(
            header='[default.global.parameters]\nstack_name = "two"\nregion = "us-east-1"\n'
        )
        result = run("deploy", "--yes")
        assert result.exit_code == 1, result.stderr
        assert tools.asked[1][5:9] == ["--stack-name", "two", "--region", "us-east-1"]
        assert result.stderr.endswith("Nothing was deployed.\n")
        for options, said in (
            (("--stack", "other"), f"{FILE} is of the stack two, and --stack is other.\n"),
            (("--stack", NAME), f"{FILE} is of the stack two, and --stack is {NAME}.\n"),
            (("--region", "eu-west-1"), f"{FILE} is of us-east-1, and --region is eu-west-1.\n"),
        ):
            ended = run("deploy", "--yes", *options)
            assert (ended.exit_code, ended.stderr) == (2, said)
        assert run("deploy", "--yes", "--stack", "two", "--region", "us-east-1").exit_code == 1

    @pytest.mark.parametrize("section", ["global", "deploy"])
    def test_the_profile_of_the_file_is_checked_and_deployed_with(
        self, run: Run, stack: DeployedStack, tools: Tools, profile: None, section: str
    ) -> None:
        """SAM takes it from the file: what is checked is in the account that SAM deploys to."""
        answer_file(header=f'[default.{section}.parameters]\nprofile = "prod"\n')
        if section == "deploy":
            Path(FILE).write_text('[default.deploy.parameters]\nprofile = "prod"\n')
        tools.deploys = stack.update
        result = run("deploy", "--yes")
        assert result.exit_code == 0, result.stderr
        assert tools.asked[1][-2:] == ["--profile", "prod"]
        assert result.stdout.endswith(
            "  ecr-rescan doctor --profile prod\n  ecr-rescan plan --profile prod\n"
        )
        assert run("deploy", "--yes", "--profile", "prod").exit_code == 0
        ended = run("deploy", "--yes", "--profile", "other")
        assert (ended.exit_code, ended.stderr) == (
            2,
            f"{FILE} is of the profile prod, and --profile is other.\n",
        )

    def test_an_expired_session_is_that_of_the_profile_of_the_file(
        self, recorded: Recorded, run: Run, stack: DeployedStack, tools: Tools, profile: None
    ) -> None:
        recorded.answer("GetCallerIdentity", refused("GetCallerIdentity", "ExpiredToken"))
        answer_file(header='[default.global.parameters]\nprofile = "prod"\n')
        result = run("deploy", "--yes")
        assert (result.exit_code, result.stderr) == (
            3,
            "The session of profile prod has expired: aws sso login --profile prod\n",
        )

    def test_the_commands_that_it_shows_have_the_profile(
        self, run: Run, stack: DeployedStack, tools: Tools, profile: None
    ) -> None:
        answer_file()
        for status, said in (
            ("ROLLBACK_COMPLETE", "run ecr-rescan undeploy --profile prod, then deploy again."),
            ("UPDATE_ROLLBACK_FAILED", f"--stack-name {NAME} --region {REGION} --profile prod\n"),
        ):
            stack.status = status
            assert said in run("deploy", "--yes", "--profile", "prod").stderr

    def test_warns_of_enhanced_scanning_before_the_first_build(
        self, recorded: Recorded, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        recorded.answer(
            "GetRegistryScanningConfiguration",
            {"scanningConfiguration": {"scanType": "ENHANCED"}},
        )
        stack.status = None
        answer_file()
        declined = run("deploy", env=TERMINAL, given="n\n")
        assert (declined.exit_code, declined.stdout, tools.asked) == (1, "", [])
        assert declined.stderr.endswith("Nothing was deployed.\n")
        assert "This registry has enhanced scanning: Amazon Inspector scans" in declined.stderr
        tools.deploys = stack.create
        assert run("deploy", "--yes").exit_code == 0
        assert len(recorded.asked["GetRegistryScanningConfiguration"]) == 2
        assert run("deploy", "--yes").exit_code == 0
        assert len(recorded.asked["GetRegistryScanningConfiguration"]) == 2, "of an update"


class TestRefusals:
    @pytest.fixture(autouse=True)
    def nothing_is_built(self, tools: Tools) -> Iterator[None]:
        yield
        assert tools.asked == []

    def test_outside_of_a_checkout(
        self, run: Run, aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "Makefile").unlink()
        result = run("deploy", "--yes")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"{tmp_path} is not a checkout of ecr-rescan:")

    def test_without_a_file_and_a_terminal(self, run: Run, stack: DeployedStack) -> None:
        result = run("deploy", "--yes")
        assert (result.exit_code, result.stderr) == (
            2,
            f"There is no {FILE}: run ecr-rescan init, or see docs/deploying.md for CI.\n",
        )

    def test_names_the_file_that_is_not_there(self, run: Run, stack: DeployedStack) -> None:
        result = run("deploy", "--yes", "--config", "us.toml", "--region", REGION)
        assert "run ecr-rescan init --config us.toml --region eu-west-1, or" in result.stderr

    def test_without_an_answer_to_the_change_set(self, run: Run, stack: DeployedStack) -> None:
        answer_file()
        result = run("deploy")
        assert result.exit_code == 2
        assert result.stderr.endswith(
            "deploy shows what it would change, and asks. Give --yes where no one can answer.\n"
        )

    def test_a_parameter_that_does_not_exist(self, run: Run, aws: None) -> None:
        answer_file('HighTreshold = "1"')
        result = run("deploy", "--yes")
        assert result.exit_code == 2
        assert "did you mean HighThreshold?" in result.stderr

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (
                "ROLLBACK_COMPLETE",
                "is in ROLLBACK_COMPLETE, and can only be deleted: run ecr-rescan undeploy, "
                "then deploy again.",
            ),
            (
                "UPDATE_ROLLBACK_FAILED",
                "aws cloudformation continue-update-rollback --stack-name ecr-rescan --region "
                "eu-west-1",
            ),
            ("UPDATE_IN_PROGRESS", "is in UPDATE_IN_PROGRESS: deploy again when that has ended."),
        ],
    )
    def test_a_stack_that_cannot_be_updated(
        self, run: Run, stack: DeployedStack, status: str, said: str
    ) -> None:
        stack.status = status
        answer_file()
        result = run("deploy", "--yes")
        assert result.exit_code == 3
        assert said in result.stderr

    def test_a_stack_of_another_application(
        self, run: Run, aws: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = {"StackName": NAME, "StackStatus": "CREATE_COMPLETE", "CreationTime": NOW}
        monkeypatch.setattr("cli.stack.describe", lambda *_: other)
        answer_file()
        result = run("deploy", "--yes")
        assert result.exit_code == 3
        assert "is of another application: give another name" in result.stderr

    def test_no_credentials(self, run: Run, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        answer_file()
        result = run("deploy", "--yes")
        assert result.exit_code == 3
        assert result.stderr.startswith("No AWS credentials:")


class TestFailures:
    """How a build or a deployment that fails ends."""

    @pytest.fixture
    def events(self, recorded: Recorded) -> None:
        def event(name: str, status: str, reason: str | None = None) -> dict[str, Any]:
            stack_id = "arn:stack"
            return {
                "StackId": stack_id,
                "EventId": f"{name}-{status}",
                "StackName": NAME,
                "Timestamp": NOW,
                "LogicalResourceId": name,
                "PhysicalResourceId": stack_id if name == NAME else "physical",
                "ResourceStatus": status,
                **({"ResourceStatusReason": reason} if reason else {}),
            }

        recorded.answer(
            "DescribeStackEvents",
            {
                "StackEvents": [
                    event(NAME, "UPDATE_ROLLBACK_COMPLETE"),
                    event("Third", "UPDATE_FAILED", "Resource update cancelled"),
                    event("Second", "UPDATE_FAILED"),
                    event("First", "CREATE_FAILED", "no\x1b[2J quota"),
                    event("First", "CREATE_IN_PROGRESS"),
                ],
                "NextToken": "more",
            },
            {
                "StackEvents": [
                    event(NAME, "UPDATE_IN_PROGRESS", "User Initiated"),
                    event("Old", "CREATE_FAILED", "of another time"),
                ]
            },
        )

    def deploy(self, run: Run, tools: Tools, **codes: int) -> Any:
        answer_file()
        tools.codes = codes
        result = run("deploy", "--yes")
        assert (result.exit_code, result.stdout) == (3, "")
        return result.stderr.partition("\n")[2]

    def test_a_build_that_fails(self, run: Run, stack: DeployedStack, tools: Tools) -> None:
        assert self.deploy(run, tools, make=2) == (
            "make build failed (2): what it says is above. AWS is as before.\n"
        )
        assert tools.asked == [["make", "build"]]

    def test_a_deployment_that_changes_nothing(
        self, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        assert self.deploy(run, tools, sam=1) == (
            "sam deploy failed before it changed anything: what it says is above.\n"
        )

    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (
                "UPDATE_ROLLBACK_COMPLETE",
                "The stack is as before: repair that, and deploy again.",
            ),
            (
                "ROLLBACK_COMPLETE",
                "Repair that, run ecr-rescan undeploy, and deploy again.",
            ),
            ("UPDATE_FAILED", "Repair that, and deploy again."),
        ],
    )
    def test_a_deployment_that_is_rolled_back_gives_the_reasons(
        self, events: None, run: Run, stack: DeployedStack, tools: Tools, status: str, advice: str
    ) -> None:
        def roll_back() -> None:
            stack.has_changed, stack.status = True, status

        tools.deploys = roll_back
        assert self.deploy(run, tools, sam=1) == (
            f"The stack ecr-rescan is in {status}:\n"
            "  First: no�[2J quota\n"
            "  Second: no reason given\n"
            f"{advice}\n"
        )

    def test_a_first_change_set_that_was_not_executed(
        self, run: Run, stack: DeployedStack, tools: Tools
    ) -> None:
        stack.status = "REVIEW_IN_PROGRESS"
        answer_file()
        result = run("deploy", "--yes")
        assert result.exit_code == 1
        assert result.stderr.endswith("Nothing was deployed.\n")


class TestCheckout:
    """With real programs."""

    @pytest.fixture
    def programs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for path in (tmp_path / "bin" / "make", tmp_path / ".venvs" / "sam" / "bin" / "sam"):
            path.parent.mkdir(parents=True)
            path.write_text('#!/bin/sh\necho "$PYTHONPATH $PWD $0 $*" >> asked\nexit 3\n')
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        monkeypatch.setenv("PYTHONPATH", "elsewhere")
        return tmp_path

    def test_runs_make_and_the_sam_of_the_checkout(self, programs: Path) -> None:
        checkout = checkout_here()
        with pytest.raises(CommandError, match=r"make build failed \(3\)"):
            checkout.build()
        assert checkout.deploy(Path("mine.toml"), "--region", "any") == 3
        assert (programs / "asked").read_text().splitlines() == [
            f" {programs} {programs}/bin/make build",
            f" {programs} {programs}/.venvs/sam/bin/sam deploy --config-file "
            f"{programs}/mine.toml --no-fail-on-empty-changeset --region any",
        ]

    def test_says_that_make_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(CommandError, match=r"^make is not installed\.$"):
            checkout_here().build()

    @pytest.mark.parametrize("missing", ["template.yaml", "Makefile"])
    def test_a_checkout_has_a_template_and_a_makefile(self, checkout: Path, missing: str) -> None:
        (checkout / missing).unlink()
        with pytest.raises(UsageError, match="is not a checkout of ecr-rescan"):
            checkout_here()
