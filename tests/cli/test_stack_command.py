"""What every command has in common: its options, the stack, and one sentence where it fails."""

import io
import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import botocore.session
import pytest
import typer
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from typer.testing import CliRunner

import ledger.errors
import registry.errors
from cli.__main__ import main
from cli.aws_errors import note_action
from cli.call import Call
from cli.exits import CommandError, ExitCode, UsageError
from cli.stack import Account, Address, open_stack
from cli.stack_command import StackCommand
from ledger.errors import LedgerUnavailable
from registry.ecr import EcrRegistry
from tests.cli.conftest import NAME, TERMINAL, Run, StackInMemory, assert_declined
from tests.support.clock import NOW
from tests.support.template import REGION, ROOT

type Ask = Callable[..., Any]
NOWHERE = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None, "AWS_CONFIG_FILE": "/nonexistent"}


DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
DESCRIPTION = {
    "StackName": NAME,
    "StackStatus": "CREATE_COMPLETE",
    "CreationTime": NOW,
    "Outputs": [{"OutputKey": "RescanRegistryArn", "OutputValue": "arn"}],
    "Parameters": [{"ParameterKey": "Secret"}],
}


class Body(io.BytesIO):
    def stream(self, **_: object) -> Any:
        yield self.getvalue()


def summary(kind: str) -> dict[str, Any]:
    return {
        "LogicalResourceId": "Logical",
        "PhysicalResourceId": "physical",
        "ResourceType": kind,
        "LastUpdatedTimestamp": NOW,
        "ResourceStatus": "CREATE_COMPLETE",
    }


def not_allowed(**_: object) -> Any:
    error: Any = {"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}
    raise ClientError(error, "DescribeRegions")


class Where:
    """The answer of a command that only finds the stack."""

    def document(self) -> dict[str, object]:
        return {"found": True}

    def rows(self) -> list[dict[str, object]]:
        return [{"found": True}]

    def show(self, console: Any) -> None:
        console.print("found")


def app_of(work: Callable[[Call], object]) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command(cls=StackCommand)
    def command(context: typer.Context) -> None:
        work(context.obj)

    return app


def find(call: Call) -> None:
    assert call.stack.name == call.address.stack
    call.answer(Where())


def ask(*arguments: str, work: Callable[[Call], object] = find, **env: str | None) -> Any:
    return CliRunner().invoke(app_of(work), [*arguments], env=env)


def refused(code: str, message: str = "no", operation: str = "Scan") -> Callable[[Call], None]:
    def work(_: Call) -> None:
        error: Any = {"Error": {"Code": code, "Message": message}}
        raise ClientError(error, operation)

    return work


class TestStack:
    def test_finds_the_stack_of_the_default_name(self, stack: StackInMemory) -> None:
        result = ask()
        assert (result.exit_code, result.stdout, result.stderr) == (0, "found\n", "")

    def test_says_in_json_what_the_answer_is_about(self, stack: StackInMemory) -> None:
        written = json.loads(ask("-o", "json").stdout)
        assert written == {
            "schema": 1,
            "stack": NAME,
            "account": "123456789012",
            "region": REGION,
            "made_at": "2026-03-14T03:00:00+00:00",
            "found": True,
        }

    def test_writes_csv(self, stack: StackInMemory) -> None:
        assert ask("-o", "csv").stdout_bytes == b"found\r\ntrue\r\n"

    def test_takes_the_name_from_the_environment(self, stack: StackInMemory) -> None:
        result = ask(ECR_RESCAN_STACK="other")
        assert result.exit_code == ExitCode.REFUSED
        assert result.stderr == (
            f"There is no stack other in {REGION} of 123456789012. Give the name of another one "
            "with --stack, or another Region with --region.\n"
        )
        assert result.stdout == ""

    def test_names_another_region_that_has_it(self, stack: StackInMemory) -> None:
        result = ask("--region", "us-west-2", FORCE_COLOR="1")
        assert "There is no stack ecr-rescan in us-west-2 of 123456789012." in result.stderr
        assert f"It is in {REGION}: add --region {REGION}." in result.stderr

    def test_does_not_fail_because_it_may_not_look_elsewhere(
        self, stack: StackInMemory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cli.stack.ThreadPoolExecutor", not_allowed)
        result = ask("--region", "us-west-2", FORCE_COLOR="1")
        assert result.exit_code == ExitCode.REFUSED
        assert "There is no stack ecr-rescan in us-west-2" in result.stderr
        assert "It is in" not in result.stderr

    def test_refuses_a_stack_of_another_application(self, stack: StackInMemory) -> None:
        stack.outputs = {"Website": "example"}
        result = ask()
        assert result.exit_code == ExitCode.REFUSED
        assert "has status CREATE_COMPLETE and not the outputs of ecr-rescan" in result.stderr

    @pytest.mark.parametrize("what", ["output", "parameter"])
    def test_says_which_version_a_command_needs(self, stack: StackInMemory, what: str) -> None:
        del stack.outputs["Version"]
        result = ask(work=lambda call: getattr(call.stack, what)("Absent"))
        assert result.exit_code == ExitCode.REFUSED
        assert result.stderr == (
            f"The stack ecr-rescan is of version 0.3.0 and has no {what} Absent, which this "
            "command needs. Deploy 0.4.0: make deploy\n"
        )

    def test_reads_outputs_parameters_and_physical_names(self, stack: StackInMemory) -> None:
        seen: dict[str, object] = {}

        def read(call: Call) -> None:
            seen["table"] = call.stack.output("LedgerTableName")
            seen["after"] = call.stack.parameter("RescanAfter")
            seen["version"] = call.stack.version
            seen["rules"] = call.stack.physical_names("AWS::Events::Rule")

        assert ask(work=read).exit_code == 0
        assert seen == {"table": "ledger-table", "after": "7d", "version": "0.4.0", "rules": {}}


class TestCloudFormation:
    """What CloudFormation answers, by its own model: the other tests replace it."""

    def test_describes_a_stack(self, credentials: None) -> None:
        account = Account(Address(NAME, REGION))
        with Stubber(account.client("cloudformation")) as stubber:
            stubber.add_response("describe_stacks", {"Stacks": [DESCRIPTION]}, {"StackName": NAME})
            stubber.add_response(
                "list_stack_resources",
                {
                    "StackResourceSummaries": [
                        summary("AWS::Events::Rule"),
                        summary("AWS::SQS::Queue"),
                    ]
                },
                {"StackName": NAME},
            )
            stack = open_stack(account, Address(NAME))
            assert stack.physical_names("AWS::Events::Rule") == {"Logical": "physical"}
        assert stack.outputs == {"RescanRegistryArn": "arn"}

    def test_knows_that_there_is_none(self, credentials: None) -> None:
        account = Account(Address(NAME, REGION))
        vars(account)["identity"] = {"Account": "123456789012", "Arn": "arn"}
        with Stubber(account.client("cloudformation")) as stubber:
            stubber.add_client_error(
                "describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist"
            )
            with pytest.raises(CommandError, match="There is no stack"):
                open_stack(account, Address(NAME))

    def test_passes_on_what_it_refuses(self, credentials: None) -> None:
        account = Account(Address(NAME, REGION))
        with Stubber(account.client("cloudformation")) as stubber:
            stubber.add_client_error("describe_stacks", "ValidationError", "1 validation error")
            with pytest.raises(ClientError, match="1 validation error"):
                open_stack(account, Address(NAME))


class TestErrors:
    @pytest.mark.parametrize(
        ("work", "sentence"),
        [
            (
                refused(
                    "AccessDeniedException",
                    "User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:Scan on "
                    "resource: arn:aws:dynamodb:eu-central-1:1:table/t because no policy allows it",
                ),
                "Not allowed: dynamodb:Scan on arn:aws:dynamodb:eu-central-1:1:table/t. "
                "docs/cli.md lists the permissions of each command.",
            ),
            (
                refused("AccessDenied", operation="GetObject"),
                "Not allowed: GetObject. docs/cli.md lists the permissions of each command.",
            ),
            (refused("ExpiredToken"), "Your AWS session has expired: aws sso login"),
            (
                refused("InvalidClientTokenId"),
                "AWS does not know these credentials: run aws sso login, or set AWS_PROFILE.",
            ),
            (refused("Any", "a\x1b[31m word"), "Scan: Any: a�[31m word"),
        ],
    )
    def test_says_what_an_answer_of_aws_means(
        self, aws: None, work: Callable[[Call], None], sentence: str
    ) -> None:
        result = ask(work=work)
        assert (result.exit_code, result.stderr) == (3, f"{sentence}\n")

    def test_names_the_profile_whose_session_has_expired(self, aws: None) -> None:
        result = ask("--profile", "ops", work=refused("ExpiredToken"))
        assert result.stderr == (
            "The session of profile ops has expired: aws sso login --profile ops\n"
        )

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            ("NoCredentialsError", "No AWS credentials: run aws sso login, or set AWS_PROFILE."),
            ("NoRegionError", "No Region: give --region, or set AWS_REGION."),
            ("UnauthorizedSSOTokenError", "Your AWS session has expired: aws sso login"),
        ],
    )
    def test_says_what_is_missing(self, aws: None, error: str, sentence: str) -> None:
        def work(_: Call) -> None:
            raise getattr(botocore.exceptions, error)

        result = ask(work=work)
        assert (result.exit_code, result.stderr) == (3, f"{sentence}\n")

    def test_says_that_a_profile_is_unknown(self, aws: None) -> None:
        result = ask("--profile", "none")
        assert result.exit_code == ExitCode.REFUSED
        assert result.stderr.endswith("aws configure list-profiles lists yours.\n")

    def test_says_that_no_region_is_given(self, aws: None) -> None:
        result = ask(**NOWHERE)
        assert result.stderr == "No Region: give --region, or set AWS_REGION.\n"

    def test_says_that_aws_does_not_answer(self, aws: None) -> None:
        def work(_: Call) -> None:
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts.example")

        assert ask(work=work).stderr.startswith("AWS did not answer: Could not connect")

    def test_shows_other_errors_of_botocore_as_they_are(self, aws: None) -> None:
        def work(_: Call) -> None:
            raise botocore.exceptions.ParamValidationError(report="a report")

        assert ask(work=work).stderr.endswith("a report\n")

    def test_looks_behind_an_error_of_an_adapter(self, aws: None) -> None:
        def work(call: Call) -> None:
            try:
                refused("ExpiredToken")(call)
            except ClientError as error:
                raise LedgerUnavailable("the table") from error

        assert ask(work=work).stderr == "Your AWS session has expired: aws sso login\n"

    @pytest.mark.parametrize("module", [ledger.errors, registry.errors])
    def test_says_every_error_of_an_adapter_in_a_sentence(
        self, aws: None, module: ModuleType
    ) -> None:
        kinds = [each for each in vars(module).values() if isinstance(each, type)]
        errors = [each for each in kinds if issubclass(each, Exception)]
        assert len(errors) >= 3
        for each in errors:

            def work(_: Call, kind: type[Exception] = each) -> None:
                raise kind.__new__(kind, "what happened")

            result = ask(work=work)
            assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
            assert "what happened" in result.stderr, each

    def test_says_what_to_do_when_ecr_forgets_a_page(self, aws: None) -> None:
        client = boto3.client("ecr", "eu-central-1")

        def work(_: Call) -> None:
            EcrRegistry(client).images("team/api", "a token")

        with Stubber(client) as stubber:
            stubber.add_client_error("describe_images", "InvalidParameterException", "Bad token")
            result = ask(work=work)
        assert result.exit_code == 3
        assert result.stderr.startswith("ECR ended a list before its last page: run the command ")
        assert result.stderr.endswith("Bad token\n")

    def test_shows_an_error_of_an_adapter_without_a_cause(self, aws: None) -> None:
        def work(_: Call) -> None:
            raise LedgerUnavailable("the table did not answer")

        assert ask(work=work).stderr == "the table did not answer\n"

    def test_shows_the_traceback_only_where_it_is_wanted(self, aws: None) -> None:
        result = ask("--debug", work=refused("ExpiredToken"))
        assert isinstance(result.exception, CommandError)

    @pytest.mark.parametrize(
        ("service", "operation", "action"),
        [
            ("s3", "HeadObject", "s3:GetObject"),
            ("s3", "ListObjectsV2", "s3:ListBucket"),
            ("cloudwatch", "ListMetrics", "cloudwatch:ListMetrics"),
            ("stepfunctions", "ListStateMachines", "states:ListStateMachines"),
        ],
    )
    def test_names_an_action_as_iam_does(self, service: str, operation: str, action: str) -> None:
        model = botocore.session.get_session().get_service_model(service).operation_model(operation)
        parsed: dict[str, Any] = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}
        note_action(parsed, model)
        assert parsed["Error"]["Action"] == action

    def test_names_the_action_where_the_service_does_not(self, aws: None) -> None:
        """S3 says only "Access Denied"."""

        def work(call: Call) -> None:
            client = call.account.client("s3")
            answer = AWSResponse("https://s3", 403, {}, Body(DENIED))
            client.meta.events.register_first("before-send.s3", lambda **_: answer)
            client.get_object(Bucket="a-bucket", Key="key")

        assert ask(work=work).stderr.startswith("Not allowed: s3:GetObject. ")

    def test_leaves_an_answer_without_an_error_as_it_is(self, stack: StackInMemory) -> None:
        assert ask(work=lambda call: call.stack.client("sns").list_topics()).exit_code == 0


class TestConfirm:
    def answered(self, typed: str) -> Any:
        app = app_of(lambda call: call.confirm("Sure?"))
        return CliRunner().invoke(app, [], input=typed, env=TERMINAL)

    def test_is_not_asked_with_yes(self, aws: None) -> None:
        result = ask("--yes", work=lambda call: call.confirm("Sure?"))
        assert (result.exit_code, result.stderr) == (0, "")

    def test_needs_a_terminal_or_yes(self, aws: None) -> None:
        result = ask(work=lambda call: call.confirm("Sure?"))
        assert result.exit_code == ExitCode.USAGE
        assert result.stderr == "Sure? Give --yes, because this is not a terminal.\n"

    def test_goes_on_after_yes(self, aws: None) -> None:
        result = self.answered("y\n")
        assert result.exit_code == 0
        assert result.stderr.startswith("Sure? ")

    @pytest.mark.parametrize("typed", ["n\n", "\n", ""])
    def test_ends_with_1_and_a_sentence_after_all_else(self, aws: None, typed: str) -> None:
        """At the end of the input, as after Ctrl-D, too."""
        assert_declined(self.answered(typed))

    def test_is_asked_in_one_place(self) -> None:
        """So that an answer of no means the same in every command."""
        asking = re.compile(r"click\.confirm|typer\.confirm|rich\.prompt|\binput\(")
        found = {
            str(path.relative_to(ROOT))
            for path in (ROOT / "cli").rglob("*.py")
            if asking.search(path.read_text())
        }
        assert found == {"cli/call.py"}


def test_refuses_a_form_that_is_none(run: Run) -> None:
    result = run("doctor", "-o", "yaml")
    assert result.exit_code == ExitCode.USAGE
    assert "'yaml' is not one of 'table'," in result.stderr


def test_usage_errors_have_their_own_code() -> None:
    assert (CommandError.code, UsageError.code) == (3, 2)


def test_prints_its_version(run: Run) -> None:
    assert run("--version").stdout == "ecr-rescan 0.4.0\n"


def test_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["anything", "undelivered", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert "Usage: ecr-rescan undelivered" in capsys.readouterr().out


def test_the_client_of_a_region_is_that_of_the_region(aws: None) -> None:
    seen: list[str] = []

    def work(call: Call) -> None:
        seen.append(call.account.client("sns", region="us-east-1").meta.region_name)
        seen.append(call.account.region)

    ask(work=work)
    assert seen == ["us-east-1", REGION]


def test_a_local_cloud_is_called_without_a_prefix(
    aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    seen: list[bool] = []
    ask(
        work=lambda call: seen.append(
            call.account.client("stepfunctions").meta.config.inject_host_prefix
        )
    )
    assert seen == [False]
    assert boto3.client("stepfunctions").meta.config.inject_host_prefix is True
