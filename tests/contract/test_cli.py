"""The command line: how it starts, and what the oldest Python that it claims understands."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import click
import pytest
import typer

from cli.__main__ import app
from cli.aws_errors import action_of
from tests.cli.conftest import documented_actions
from tests.support.template import ROOT

# Each takes longer than help and completion may.
SLOW = {"boto3", "botocore", "jinja2", "pydantic", "aws_lambda_powertools"}
MODULES = sorted([*(ROOT / "cli").rglob("*.py"), *(ROOT / "functions").rglob("*.py")])


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_does_not_wait_for_what_only_commands_need() -> None:
    helped = ran("-X", "importtime", "-m", "cli", "--help")
    assert helped.returncode == 0, helped.stderr
    imported = {line.rpartition("|")[2].strip() for line in helped.stderr.splitlines()}
    assert "typer" in imported
    assert imported & SLOW == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_reads_as_python_3_12(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 12))


# Where a text names a command that is not for pasting: file, words, and why.
NAMED_NOT_SHOWN = {
    ("cli/answers.py", "ecr-rescan deploy"): "a comment in a file that is kept",
    ("cli/checkout.py", "make build"): "names the program that has failed",
    ("cli/checkout.py", "make package"): "builds for any stack",
    ("cli/shown_commands.py", "make deploy"): "writes the command",
}


def texts(path: Path) -> Iterator[str]:
    """Find the texts in a module that can reach an operator: all strings but docstrings."""
    tree = ast.parse(path.read_text())
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in documentation:
                yield text


def test_every_command_that_is_shown_leads_to_its_stack() -> None:
    """cli.shown_commands adds stack, Region and profile, so that a command can be pasted."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    programs = f"ecr-rescan (?:{'|'.join(COMMANDS)})|aws [a-z0-9-]+|make (?:{'|'.join(targets)})"
    shown = re.compile(rf"(?<![\w-])(?:{programs})(?![\w-])")
    found = {
        (str(path.relative_to(ROOT)), words)
        for path in (ROOT / "cli").rglob("*.py")
        for text in texts(path)
        for words in shown.findall(text)
    }
    pages = {
        (path.name, words)
        for path in (ROOT / "cli").rglob("*.j2")
        for words in shown.findall(path.read_text())
    }
    assert found | pages == {*NAMED_NOT_SHOWN}


COMMANDS: dict[str, click.Command] = dict(vars(typer.main.get_command(app))["commands"])
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
CODE = re.compile(r"^```sh\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


def named(document: Path) -> Iterator[tuple[str, set[str]]]:
    """Find the commands in the code of a document, each with its options."""
    for block, span in CODE.findall(document.read_text()):
        for line in (block or span).replace("\\\n", " ").splitlines():
            for words in re.findall(r"\becr-rescan ([a-z][a-z-]*)((?: [^|#;]*)?)", line):
                yield words[0], {*re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words[1])}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_that_a_document_shows_exists(document: Path) -> None:
    for command, options in named(document):
        assert command in COMMANDS, (document.name, command)
        known = {name for option in COMMANDS[command].params for name in option.opts}
        assert options - {"--help"} <= known, (document.name, command)


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    sections = re.split(
        r"[, ]+", " ".join(re.findall(r"^## ([a-z][a-z, -]+)$", text, re.MULTILINE))
    )
    assert {*COMMANDS} <= {*sections}


def test_every_documented_action_is_one_of_aws() -> None:
    """By the model of the service, as IAM names both."""
    session = botocore.session.get_session()
    services = {"cloudformation", "cloudwatch", "dynamodb", "ec2", "ecr", "events", "iam", "kms"}
    services |= {
        "lambda",
        "s3",
        "scheduler",
        "secretsmanager",
        "sns",
        "sqs",
        "stepfunctions",
        "sts",
    }
    known = {
        action_of(model.operation_model(name))
        for service in services
        for model in [session.get_service_model(service)]
        for name in model.operation_names
    }
    for command, actions in documented_actions().items():
        assert actions <= known, command
