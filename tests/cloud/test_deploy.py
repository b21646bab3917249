"""The stack of the command line: deployed with questions, again, changed, and deleted."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.deployment import Application, localized
from local.cloud.engine import Engine
from local.cloud.interpreters import sam_command
from tests.support.stack import Stack
from tests.support.template import ROOT

STACK = "ecr-rescan-of-the-command-line"
FILE = "ecr-rescan.toml"
SLACK = "https://hooks.slack.com/services/T0/B0/secret-part"
DEADLINE_SECONDS = 300
CONFIRMATION = (("Deploy this changeset? [y/N]:", "y"),)
ANSWERS = (
    ("AlertEmail:", "ops@example.com"),
    ("Slack webhook:", SLACK),
    ("RepositoryFilter:", ""),
    ("Time [", "04:30 Europe/Berlin"),
    ("Messages [", "digest"),
    ("AlarmTopicArn:", ""),
    *CONFIRMATION,
)


def checkout(engine: Engine, directory: Path, application: Application) -> Path:
    """Make a checkout whose build is one that localemu can read."""
    directory.mkdir()
    template = localized(application.build(), {}, directory / "localized")
    shutil.copy(ROOT / "template.yaml", directory)
    (directory / "Makefile").write_text(
        f"build:\n\tmkdir -p .aws-sam/build\n\tcp {template} .aws-sam/build/template.yaml\n"
    )
    sam = directory / ".venvs" / "sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.symlink_to(sam_command())
    return directory


class CommandLine:
    """The command line in a checkout, with the account of the engine."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.directory = directory
        self._options: dict[str, Any] = {
            "cwd": directory,
            "env": {
                **os.environ,
                **engine.environment,
                "PYTHONPATH": str(ROOT),
                "SAM_CLI_POLL_DELAY": "0.5",
                "__SAM_CLI_APP_DIR": str(directory / "sam"),
            },
        }

    def answer(self, *arguments: str, answers: tuple[tuple[str, str], ...]) -> str:
        """Run a command on a terminal, and give each answer after its question."""
        terminal, inner = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            **self._options,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        said = ""
        for question, answer in answers:
            said += _until(terminal, question)
            time.sleep(0.2)  # a hidden question drops what was typed before it
            os.write(terminal, f"{answer}\n".encode())
        said += _until(terminal, None)
        os.close(terminal)
        assert process.wait() == 0, said
        return said


def _until(terminal: int, text: str | None) -> str:
    """Read until a text is shown, or until the process ends."""
    said, deadline = "", time.monotonic() + DEADLINE_SECONDS
    while text is None or text not in said:
        readable, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
        assert readable, f"waited for {text!r} after:\n{said}"
        try:
            piece = os.read(terminal, 4_096)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        if not piece:
            assert text is None, f"ended before {text!r}:\n{said}"
            return said
        said += piece.decode(errors="replace")
    return said


def deployed(engine: Engine) -> tuple[dict[str, str], Any]:
    """Return the parameters and the template of the stack."""
    cloudformation = engine.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    return parameters, cloudformation.get_template(StackName=STACK)["TemplateBody"]


def data(engine: Engine) -> set[str]:
    """Name the tables and buckets of the stack that exist."""
    tables = engine.client("dynamodb").list_tables()["TableNames"]
    buckets = [bucket["Name"] for bucket in engine.client("s3").list_buckets()["Buckets"]]
    return {name for name in [*tables, *buckets] if name.startswith(f"{STACK}-")}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Application:
    """Copy what a build depends on to another place, as another clone."""
    root = tmp_path / "another clone"
    for source in Application().sources:
        target = root / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        else:
            shutil.copy(ROOT / source, target)
    return Application(root)


def test_a_stack_is_deployed_left_alone_changed_and_deleted(
    engine: Engine, tmp_path: Path, elsewhere: Application
) -> None:
    directory = checkout(engine, tmp_path / "first", Application())
    first = CommandLine(engine, directory)

    said = first.answer("deploy", "--stack", STACK, answers=ANSWERS)
    assert "secret-part" not in said
    Stack(engine, STACK, {}).let_events_through(open=False)
    parameters, template = deployed(engine)
    assert parameters["AlertEmail"] == "ops@example.com"
    assert parameters["ScheduleExpression"] == "cron(30 4 * * ? *)"
    assert parameters["ScheduleTimezone"] == "Europe/Berlin"
    arn = parameters["SlackWebhookSecretArn"]
    secret = engine.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    assert secret == f'{{"url": "{SLACK}"}}'
    assert arn in (directory / FILE).read_text()

    again = CommandLine(engine, checkout(engine, tmp_path / "second", elsewhere))
    shutil.copy(directory / FILE, again.directory)
    said = again.answer("deploy", answers=())
    assert "is up to date" in said
    assert deployed(engine) == (parameters, template)

    # What the file does not name keeps the value that the stack has.
    file = again.directory / FILE
    named = f'SlackWebhookSecretArn = "{arn}"'
    file.write_text(file.read_text().replace(named, 'RescanAfter = "3d"'))
    again.answer("deploy", answers=CONFIRMATION)
    assert deployed(engine) == (parameters | {"RescanAfter": "3d"}, template)

    assert len(data(engine)) == 3
    again.answer("undeploy", "--delete-data", answers=(("Name of the stack", STACK),))
    with pytest.raises(ClientError, match="does not exist"):
        deployed(engine)
    assert data(engine) == set()
