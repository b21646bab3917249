"""A plugin that makes localemu run Lambda functions as plain processes."""

import json
import os
from typing import Any

from localemu.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localemu.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localemu.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from local.cloud.interpreters import lambda_runtime_python
from local.cloud.lambda_runtime_api import Invocation
from local.cloud.lambda_sandbox import LambdaSandbox


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):  # type: ignore[misc] # untyped package
    """The plugin for LAMBDA_RUNTIME_EXECUTOR=process."""

    name = "process"

    def load(self, *_args: object, **_kwargs: object) -> type["ProcessRuntimeExecutor"]:
        """Return the executor."""
        return ProcessRuntimeExecutor


class ProcessRuntimeExecutor(RuntimeExecutor):  # type: ignore[misc] # localemu has no types
    """An execution environment that runs a LambdaSandbox."""

    def start(self, env_vars: dict[str, Any]) -> None:
        """Create the sandbox. Its process starts with the first invocation.

        An import error is then the response of that invocation and in its log, as on AWS. If
        it were raised here, no log would contain it.
        """
        config = self.function_version.config
        self._sandbox = LambdaSandbox(
            [str(lambda_runtime_python()), "-m", "awslambdaric", config.handler],
            config.code.get_unzipped_code_location(),
            _environment(env_vars, config.runtime),
            config.timeout,
        )

    def stop(self) -> None:
        """Kill the process, also during an invocation."""
        self._sandbox.stop()

    def invoke(
        self, payload: dict[str, str], function_timeout: int | None = None
    ) -> InvocationResult:
        """Invoke the handler."""
        del function_timeout  # the sandbox reads it from the configuration
        invocation = Invocation(
            request_id=payload["invoke-id"],
            function_arn=payload["invoked-function-arn"],
            payload=payload["payload"].encode(),
            trace_id=payload["trace-id"],
        )
        outcome = self._sandbox.invoke(invocation)
        return InvocationResult(
            invocation.request_id, outcome.payload, is_error=outcome.is_error, logs=outcome.log
        )

    def get_logs(self) -> str:
        """Return log lines that belong to no invocation."""
        return self._sandbox.unread_log()

    def get_address(self) -> str:
        """Return the host of the handler."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Return the host of localemu, as seen by the handler."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Return no address: localemu's own runtime client is not used."""
        return ""

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unzip the code."""
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Remove the unzipped code."""
        function_version.config.code.destroy_cached()


def _environment(variables: dict[str, Any], runtime: str) -> dict[str, str]:
    """Return the variables that AWS sets, on top of those that the engine was given."""
    environment: dict[str, str] = json.loads(os.environ.get("LAMBDA_PROCESS_ENVIRONMENT", "{}")) | {
        name: str(value)
        for name, value in variables.items()
        if not name.startswith("LOCALEMU_") and name != "EDGE_PORT"
    }
    environment["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime}"
    if "AWS_LAMBDA_LOG_LEVEL" in environment:  # localemu writes `Info`, AWS writes `INFO`
        environment["AWS_LAMBDA_LOG_LEVEL"] = environment["AWS_LAMBDA_LOG_LEVEL"].upper()
    return environment
