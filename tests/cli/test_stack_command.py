"""What every command has in common: finding the stack, and one sentence where it cannot."""

from tests.cli.conftest import Run


def test_names_the_stack_that_is_not_there(aws: None, run: Run) -> None:
    result = run("status", "--stack", "other")
    assert result.exit_code == 3
    assert result.stderr == "There is no stack other in eu-central-1 of 123456789012.\n"
    assert result.stdout == ""
