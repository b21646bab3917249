"""The plugin with which localemu runs Lambda functions as plain processes."""

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
    """What localemu finds when LAMBDA_RUNTIME_EXECUTOR is `process`."""

    name = "process"

    def load(self, *_args: object, **_kwargs: object) -> type["ProcessRuntimeExecutor"]:
        """Give localemu the executor."""
        return ProcessRuntimeExecutor


class ProcessRuntimeExecutor(RuntimeExecutor):  # type: ignore[misc] # localemu has no types
    """An execution environment of localemu that is a sandbox of ours."""

    def start(self, env_vars: dict[str, Any]) -> None:
        """Make the sandbox; its process starts with the first invocation.

        So an import error is that invocation's answer and in its log, as in AWS. Raised from
        here it would be in no log.
        """
        config = self.function_version.config
        self._sandbox = LambdaSandbox(
            [str(lambda_runtime_python()), "-m", "awslambdaric", config.handler],
            config.code.get_unzipped_code_location(),
            _environment(env_vars, config.runtime),
            config.timeout,
        )

    def stop(self) -> None:
        """Kill the process, also in the middle of an invocation."""
        self._sandbox.stop()

    def invoke(
        self, payload: dict[str, str], function_timeout: int | None = None
    ) -> InvocationResult:
        """Run the handler once."""
        del function_timeout  # the sandbox has it from the function's configuration
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
        """Read what no invocation has logged."""
        return self._sandbox.unread_log()

    def get_address(self) -> str:
        """Name the host of the handler."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Name the host of localemu, seen from the handler."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Give localemu's own runtime client, which is not used, no address."""
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
    """Turn localemu's variables into those that AWS sets, over those that the engine was given."""
    environment: dict[str, str] = json.loads(os.environ.get("LAMBDA_PROCESS_ENVIRONMENT", "{}")) | {
        name: str(value)
        for name, value in variables.items()
        if not name.startswith("LOCALEMU_") and name != "EDGE_PORT"
    }
    environment["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime}"
    if "AWS_LAMBDA_LOG_LEVEL" in environment:  # localemu writes `Info`, AWS writes `INFO`
        environment["AWS_LAMBDA_LOG_LEVEL"] = environment["AWS_LAMBDA_LOG_LEVEL"].upper()
    return environment
