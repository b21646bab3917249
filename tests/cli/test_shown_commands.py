"""Commands that can be pasted into a shell."""

import shlex
from typing import Any

import pytest

from cli.shown_commands import aws, broken, own, parameter
from cli.stack import Account, Address, Stack
from tests.support.clock import NOW

HOSTILE = "a' b; $(id)"


def stack(name: str = "ecr-rescan", **options: str) -> Stack:
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


def test_a_parameter_is_one_line() -> None:
    assert "\n" not in parameter("RepositoryFilter", "a\nb")


def test_a_parameter_is_written_as_in_its_file() -> None:
    text = parameter("RepositoryFilter", r"team/api\-gw")
    assert text.startswith(r'Set RepositoryFilter = "team/api\\-gw" in ecr-rescan.toml')


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
