"""Commands that can be pasted into a shell."""

import shlex
from typing import Any

import pytest

from cli.answers import set_parameter
from cli.shown_commands import aws, aws_of_profile, broken, make_deploy, own
from cli.stack import Account, Address, Stack
from tests.support.clock import NOW

HOSTILE = "a' b; $(id)"


def stack(name: str = "ecr-rescan", **options: Any) -> Stack:
    """Return a stack as with these options."""
    account = Account(Address(name))
    account.address = Address(name, **options)
    description: Any = {"StackName": name, "StackStatus": "CREATE_COMPLETE", "CreationTime": NOW}
    return Stack(account, description)


pytestmark = pytest.mark.usefixtures("credentials")


def test_a_command_of_aws_names_the_region() -> None:
    command = aws(stack(), "sns subscribe", topic_arn="arn", protocol="email")
    assert command == "aws sns subscribe --topic-arn arn --protocol email --region eu-west-1"


def test_commands_name_the_options_that_were_given() -> None:
    made = stack("other", region="eu-west-1", profile="ops")
    assert own(made, "report --overdue") == (
        "ecr-rescan report --overdue --stack other --region eu-west-1 --profile ops"
    )
    assert aws(made, "sts get-caller-identity").endswith("--region eu-west-1 --profile ops")


def test_the_defaults_are_left_out() -> None:
    assert own(stack(), "status") == "ecr-rescan status"


def test_text_from_outside_is_one_word() -> None:
    command = aws(stack(), "events enable-rule", name=HOSTILE)
    assert shlex.split(command)[4] == HOSTILE


def test_a_stack_that_was_named_is_named_even_where_it_is_the_default() -> None:
    """ECR_RESCAN_STACK names another one."""
    made = stack(is_named=True)
    assert own(made, "status") == "ecr-rescan status --stack ecr-rescan"


def test_a_command_has_options_of_its_own() -> None:
    assert own(stack("other"), "init", config="a file") == (
        "ecr-rescan init --config 'a file' --stack other"
    )


def test_a_command_of_aws_can_be_about_a_profile_alone() -> None:
    assert aws_of_profile(None, "sso login") == "aws sso login"
    assert aws_of_profile("my ops", "sso login") == "aws sso login --profile 'my ops'"


def test_make_deploys_the_stack_that_is_meant() -> None:
    """The command refuses a file of answers of another stack than the options name."""
    assert make_deploy(stack()) == "make deploy"
    made = stack("other", region="eu-west-1", profile="ops")
    assert make_deploy(made) == (
        "make deploy ARGS='--stack other --region eu-west-1 --profile ops'"
    )


def test_a_parameter_is_one_line() -> None:
    assert "\n" not in set_parameter(stack(), "RepositoryFilter", "a\nb")


def test_a_parameter_is_written_as_in_its_file() -> None:
    text = set_parameter(stack(), "RepositoryFilter", r"team/api\-gw")
    assert text == (r'Set RepositoryFilter = "team/api\\-gw" in ecr-rescan.toml, then: make deploy')


def test_the_file_of_another_stack_has_a_name_that_is_not_known() -> None:
    text = set_parameter(stack("other"), "RescanAfter", "7d")
    assert text == (
        "Set RescanAfter = \"7d\" in its file of answers, then: make deploy ARGS='--stack other'"
    )


def test_a_wide_command_is_broken_between_options_and_stays_the_same() -> None:
    command = aws(stack(), "events put-targets", rule="r" * 40, targets=f"[{HOSTILE!r} --x]")
    shown = broken(command, 78)
    assert max(map(len, shown.splitlines())) <= 78
    assert shlex.split(shown.replace(" \\\n", " ")) == shlex.split(command)
    assert [line.split()[0] for line in shown.splitlines()] == [
        "aws",
        "--rule",
        "--targets",
        "--region",
    ]


def test_sentences_and_short_commands_are_not_broken() -> None:
    assert broken("make deploy", 20) == "make deploy"
    assert broken("A sentence that is wider than the terminal", 20).count("\n") == 0
