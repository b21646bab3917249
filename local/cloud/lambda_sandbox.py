"""A Lambda execution environment without Docker: a process of AWS's runtime client."""

import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.cloud.lambda_runtime_api import Invocation, Message, RuntimeApi

# AWS allows 10 s on an otherwise idle machine. Here, environments that start at the same time share
# the cores: 50 of them need half a minute on 2 cores.
INIT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """The result of an invocation, and its log."""

    payload: bytes
    is_error: bool
    log: str


class LambdaSandbox:
    """A handler whose process is reused from one invocation to the next, as on AWS.

    It starts with the first invocation, and again after a timeout or an exit. Of environment
    variables, the handler sees those that AWS sets and `environment`, none of this machine.
    """

    def __init__(
        self,
        command: list[str],
        code: Path,
        environment: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        self._command = command
        self._code = code
        self._timeout_seconds = timeout_seconds
        self._scratch = Path(tempfile.mkdtemp(prefix="lambda-"))
        self._environment = {
            "HOME": str(self._scratch),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self._scratch),
            **environment,
            "LAMBDA_TASK_ROOT": str(code),
        }
        self._process: _RuntimeProcess | None = None

    def invoke(self, invocation: Invocation) -> Outcome:
        """Pass an event to the handler and wait for its response, exit or timeout."""
        process = self._running_process()
        began, seconds = time.monotonic(), INIT_TIMEOUT_SECONDS
        message = Message("ready") if process.is_ready else process.api.wait(seconds)
        if message and message.kind == "ready":
            process.is_ready = True
            began, seconds = time.monotonic(), self._timeout_seconds
            process.api.deliver(invocation, seconds)
            message = process.api.wait(seconds)
        duration = time.monotonic() - began

        if message is None:
            reason = f"Task timed out after {seconds:.2f} seconds"
            payload = _platform_error(invocation, "Sandbox.Timedout", reason)
        elif message.kind == "exited":
            payload = _platform_error(invocation, "Runtime.ExitError", process.last_words)
        else:
            payload = message.body
        if message is None or message.kind == "exited" or not process.is_ready:
            self._end_process()
        is_error = message is None or message.kind != "response"
        log = process.unread_log() + self._report(invocation, duration, is_error=is_error)
        return Outcome(payload, is_error, log)

    def unread_log(self) -> str:
        """Return what has been logged since the last invocation ended."""
        return self._process.unread_log() if self._process else ""

    def stop(self) -> None:
        """Kill the process and remove its directory."""
        self._end_process()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _running_process(self) -> "_RuntimeProcess":
        if self._process and not self._process.is_running:
            self._end_process()
        if self._process is None:
            self._process = _RuntimeProcess(
                self._command, self._code, self._environment, self._scratch / "log"
            )
        return self._process

    def _end_process(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def _report(self, invocation: Invocation, seconds: float, *, is_error: bool) -> str:
        milliseconds = round(seconds * 1000, 2)
        if self._environment.get("AWS_LAMBDA_LOG_FORMAT") != "JSON":
            return f"REPORT RequestId: {invocation.request_id}\tDuration: {milliseconds} ms\n"
        record = {
            "requestId": invocation.request_id,
            "status": "error" if is_error else "success",
            "metrics": {"durationMs": milliseconds},
        }
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": now, "type": "platform.report", "record": record}) + "\n"


class _RuntimeProcess:
    """One process of the runtime client."""

    def __init__(
        self, command: list[str], code: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self.is_ready = False
        self.api = RuntimeApi()
        self._log = log
        self._log_position = 0
        # A file, not a pipe: log lines are complete when the response arrives.
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 # the command is ours
                command,
                cwd=code,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=self._await_end, daemon=True).start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """Return how the process ended, in AWS's words."""
        code = self._process.wait()
        if code == 0:
            return "Runtime exited without providing a reason"
        if code > 0:
            return f"Runtime exited with error: exit status {code}"
        return f"Runtime exited with error: signal: {(signal.strsignal(-code) or '').lower()}"

    def unread_log(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_position)
            text = log.read()
            self._log_position = log.tell()
        return text.decode(errors="replace")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.api.stop()

    def _await_end(self) -> None:
        self._process.wait()
        self.api.accept(Message("exited"))


def _platform_error(invocation: Invocation, error_type: str, reason: str) -> bytes:
    message = f"RequestId: {invocation.request_id} Error: {reason}"
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
