"""The engine of the local cloud: localemu as a child process."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from local.cloud.account import ACCOUNT, DEPLOYER_ACCESS_KEY, REGION
from local.cloud.interpreters import REPOSITORY, lambda_runtime_python, local_cloud_python

START_TIMEOUT_SECONDS = 90
STOP_TIMEOUT_SECONDS = 10
SERVICES = (
    "cloudformation,cloudwatch,dynamodb,ecr,events,iam,kms,lambda,logs,s3,scheduler,secretsmanager,"
    "ses,sns,sqs,ssm,stepfunctions,sts"
)


class EngineError(Exception):
    """The engine did not start, exited, or refused a registry; the message says which and why."""


class Engine:
    """A local AWS account on this machine for the duration of a `with` block.

    Every engine has its own port, directory and processes, so several can run side by side.
    `lambda_environment` holds variables for every Lambda process, below the function's own: such as
    `Inbox.environment`, by which it trusts the inbox.
    """

    def __init__(self, *, lambda_environment: Mapping[str, str] | None = None) -> None:
        self._lambda_environment = dict(lambda_environment or {})
        self._temporary = tempfile.TemporaryDirectory(prefix="local-cloud-")
        self.directory = Path(self._temporary.name)
        self._log = self.directory / "engine.log"
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the engine and wait until it responds."""
        try:
            self._start()
            self._await_readiness()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop the engine."""
        self.stop()

    @property
    def url(self) -> str:
        """Return the endpoint of all services."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return environment variables that make AWS tools use the engine only."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": DEPLOYER_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def session(self) -> boto3.Session:
        """Return a session with all permissions."""
        return boto3.Session(
            aws_access_key_id=DEPLOYER_ACCESS_KEY,
            aws_secret_access_key="local",  # noqa: S106 # not a secret: localemu reads only the access key
            region_name=REGION,
        )

    def client(self, service: str) -> Any:
        """Return a client with all permissions."""
        make_client: Any = self.session().client  # the stubs want a literal service name
        return make_client(service, endpoint_url=self.url)

    def put_registry(self, text: str) -> None:
        """Replace the simulated registry with the one in the text of a registry file."""
        self._control("PUT", text.encode())

    def clear_faults(self) -> None:
        """End all scripted faults of the registry, as if they had been repaired."""
        self._control("DELETE", path="/_simulated_registry/faults")

    def inspect(self) -> int:
        """Let Amazon Inspector scan its images again; return the number of events it sends."""
        return int(self._control("POST", path="/_simulated_registry/inspector"))

    def registry_counters(self) -> dict[str, Any]:
        """Return the counters of the simulated registry since it was put there.

        `calls` and `throttled` by operation, `calls_by_repository` by operation and repository
        ("" where a call names none), `started` by repository and digest, `scans_under_way`,
        `events_sent`, those also by the status of their scan in `events_sent_by_status`,
        `events_sent_by_inspector` by detail type, and `images`: the tags by repository and digest.
        """
        counters: dict[str, Any] = json.loads(self._control("GET"))
        return counters

    def child_executions(self, execution_arn: str) -> list[dict[str, Any]]:
        """Return the children of an execution's distributed Map that have ended.

        `name`, `input`, `history_events` as AWS counts them, and `largest_payload` in bytes.
        """
        query = urllib.parse.urlencode({"execution": execution_arn})
        children: list[dict[str, Any]] = json.loads(
            self._control("GET", path=f"/_child_executions?{query}")
        )
        return children

    def sent_emails(self) -> list[dict[str, Any]]:
        """Return all emails that SNS sent: `Destination`, `Subject`, `Body`, `Timestamp`.

        localemu sends them through its SES, whose mailbox this is.
        """
        messages: list[dict[str, Any]] = self._outbox("/_aws/ses").get("messages", [])
        return messages

    def sent_text_messages(self) -> list[dict[str, Any]]:
        """Return all text messages that SNS sent: `PhoneNumber`, `Message`, `MessageAttributes`."""
        query = urllib.parse.urlencode({"accountId": ACCOUNT, "region": REGION})
        sent = self._outbox(f"/_aws/sns/sms-messages?{query}").get("sms_messages", {})
        messages = [message for messages in sent.values() for message in messages]
        for message in messages:
            if message["MessageStructure"] == "json":  # localemu stores the text of these as JSON
                message["Message"] = json.loads(message["Message"])
        return messages

    def confirm_subscription(self, arn: str) -> None:
        """Confirm a subscription as its owner does, with the token that was sent to the address."""
        path = f"/_aws/sns/subscription-tokens/{arn}"
        token = json.loads(self._control("GET", path=path))["subscription_token"]
        self.client("sns").confirm_subscription(TopicArn=arn.rpartition(":")[0], Token=token)

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of the engine's log."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def keep_log(self, path: Path) -> None:
        """Copy the engine's log to a file that remains after the engine has stopped."""
        if self._log.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._log, path)

    def stop(self) -> None:
        """Kill the engine and its Lambda processes, and remove its directory."""
        if self._process is not None:
            # The process leads a group of itself and the Lambda processes. SIGKILL, because a
            # clean shutdown takes seconds and would save nothing.
            with contextlib.suppress(ProcessLookupError):  # it has already exited
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate(timeout=STOP_TIMEOUT_SECONDS)
            self._process = None
        self._temporary.cleanup()

    def _start(self) -> None:
        directory = str(self.directory)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "TMPDIR": directory,
            "FILESYSTEM_ROOT": directory,
            "GATEWAY_LISTEN": f"127.0.0.1:{self._port}",
            "SERVICES": SERVICES,
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "IAM_ENFORCEMENT": "1",
            "ROOT_ACCESS_KEYS": DEPLOYER_ACCESS_KEY,
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_RUNTIME_PYTHON": str(lambda_runtime_python()),
            "LAMBDA_PROCESS_ENVIRONMENT": json.dumps(self._lambda_environment),
            "PROVIDER_OVERRIDE_ECR": "simulated",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 # the command is ours
                [str(local_cloud_python()), "-m", "local.cloud.localemu_process"],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,  # never written to: when it closes, the child exits
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _await_readiness(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise EngineError(f"The local cloud exited while starting:\n{self.log_tail()}")
            try:
                self._control("GET")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise EngineError(
            f"The local cloud did not respond within {START_TIMEOUT_SECONDS} s:\n{self.log_tail()}"
        )

    def _outbox(self, path: str) -> dict[str, Any]:
        try:
            sent: dict[str, Any] = json.loads(self._control("GET", path=path))
        except EngineError:  # the path does not exist before the first use of the service
            return {}
        return sent

    def _control(
        self, method: str, body: bytes | None = None, *, path: str = "/_simulated_registry"
    ) -> str:
        request = urllib.request.Request(  # noqa: S310 # the URL is ours
            f"{self.url}{path}", body, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise EngineError(error.read().decode()) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
