"""Deploy the repository to the local cloud: as `make build` and `sam deploy`."""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.cloud import definitions
from local.cloud.account import REGION
from local.cloud.engine import Engine
from local.cloud.interpreters import REPOSITORY, sam_command

ARTIFACT_BUCKET = "sam-artifacts"
# In the template, events of Amazon Inspector wait 5 minutes, and are collected for 5 more at most.
SHORTER = {"DelaySeconds": 5, "MaximumBatchingWindowInSeconds": 20}
LEAN_PACKAGES = "operations.lean_packages"  # the second step of `make build`


class DeploymentError(Exception):
    """The application could not be built or deployed; the message holds the output."""


@dataclass(frozen=True)
class Application:
    """A SAM application: the directory of its template, and the files that a build depends on."""

    root: Path = REPOSITORY
    sources: tuple[str, ...] = (
        *("template.yaml", "functions", "statemachine"),
        "operations/lean_packages.py",
    )

    @property
    def build_directory(self) -> Path:
        """Return the build directory of the local cloud, which is not that of the user."""
        return self.root / ".aws-sam" / "local-cloud"

    def build(self) -> Path:
        """Build if a source has changed since the last build; return the built template.

        `sam build` takes 6 s to find that nothing has changed. Two builds at the same time would
        remove each other's dependencies, so the second one waits and finds the work done.
        """
        directory = self.build_directory
        directory.parent.mkdir(exist_ok=True)
        stamp = directory.with_suffix(".built-from")
        fingerprint = self._fingerprint()
        with directory.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists() or stamp.read_text() != fingerprint:
                _sam(self.root, "build", "--build-dir", str(directory))
                _make_lean(directory)
                stamp.write_text(fingerprint)
        return directory / "template.yaml"

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for source in self.sources:
            path = self.root / source
            files = [path] if path.is_file() else sorted(path.rglob("*"))
            for file in files:
                if file.is_file() and file.suffix != ".pyc":
                    digest.update(f"{file.relative_to(self.root)}\n".encode())
                    digest.update(file.read_bytes())
        return digest.hexdigest()


def deploy(
    engine: Engine,
    parameters: Mapping[str, str] | None = None,
    *,
    stack: str = "ecr-rescan",
    application: Application | None = None,
) -> dict[str, str]:
    """Build the application, deploy it to an engine as a new stack, and return its outputs.

    Deploy a stack once per engine: an update in localemu can hang after a failed one.
    """
    application = application or Application()
    parameters = parameters or {}
    template = localized(application.build(), parameters, engine.directory / stack)
    s3 = engine.client("s3")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):  # another stack has made it
        s3.create_bucket(
            Bucket=ARTIFACT_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    arguments = [
        *("--template-file", str(template), "--stack-name", stack),
        *("--s3-bucket", ARTIFACT_BUCKET, "--capabilities", "CAPABILITY_IAM"),
        *("--no-confirm-changeset", "--no-progressbar", "--disable-rollback"),
    ]
    if parameters:
        arguments += ["--parameter-overrides"]
        arguments += [f"{name}={json.dumps(value)}" for name, value in parameters.items()]
    cloudformation = engine.client("cloudformation")
    try:
        _sam(engine.directory, "deploy", *arguments, environment=engine.environment)
    except DeploymentError as error:
        raise DeploymentError(f"{error}\n{_failed_resources(cloudformation, stack)}") from error
    outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def localized(built: Path, parameters: Mapping[str, str], directory: Path) -> Path:
    """Write a copy of the built template that localemu can read, and with shorter waits."""
    directory.mkdir()
    template = yaml.safe_load(built.read_text())
    template.pop("Metadata", None)  # only for publishing, and refers to files by path
    definitions.render(template, parameters, built.parent, directory)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            code = built.parent / resource["Properties"]["CodeUri"]
            resource["Properties"]["CodeUri"] = str(code)
        for wait, seconds in SHORTER.items():
            if wait in resource.get("Properties", {}):
                resource["Properties"][wait] = seconds
    localized = directory / "template.json"
    localized.write_text(json.dumps(template, indent=2))
    return localized


def _sam(directory: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a SAM command without prompts, which calls only the engine."""
    sam_directory = REPOSITORY / ".aws-sam" / "cli"
    sam_directory.mkdir(parents=True, exist_ok=True)
    # Otherwise SAM checks for a newer version every week.
    (sam_directory / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}))
    # `sam build` needs a python3.13 with pip, which environments made by uv do not have.
    python = Path(sys.executable).resolve().parent
    result = subprocess.run(  # noqa: S603 # the command is ours
        [str(sam_command()), *arguments],
        cwd=directory,
        env={
            **os.environ,
            **(environment or {}),
            "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "__SAM_CLI_APP_DIR": str(sam_directory),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        said = "\n".join(result.stdout.splitlines()[-40:])
        raise DeploymentError(f"`sam {arguments[0]}` failed:\n{said}")


def _make_lean(build: Path) -> None:
    """Run the second step of `make build`, with this Python, which is that of the functions."""
    result = subprocess.run(  # noqa: S603 # the command is ours
        [sys.executable, "-m", LEAN_PACKAGES, str(build)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise DeploymentError(f"`{LEAN_PACKAGES}` failed:\n{result.stdout}")


def _failed_resources(cloudformation: Any, stack: str) -> str:
    """Return CloudFormation's reasons for resources that it could not create."""
    try:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    except cloudformation.exceptions.ClientError:
        return "There is no stack yet."
    return "\n".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
    )
