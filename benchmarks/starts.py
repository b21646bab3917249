"""How much computing the start of each function takes, compiled and not.

Each start is a process of its own with nothing but the runtime and a package that `make build` has
built, to which it writes nothing. The runtime is imported before the clock starts.
"""

import compileall
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from local.cloud.interpreters import REPOSITORY, lambda_runtime_python
from tests.support.definition import snake, states

PACKAGE = REPOSITORY / ".aws-sam" / "build" / "InterpretEventFunction"
ROUNDS = 15
EMPTY = "runtime.entrypoint"  # what every function imports: a handler that does nothing
CODE = """
import importlib, sys, time
import awslambdaric.bootstrap
began = time.process_time()
importlib.import_module(sys.argv[1])
print(1000 * (time.process_time() - began))
"""


def starts() -> dict[str, dict[str, float]]:
    """Return milliseconds of CPU per module and kind of package: medians of interleaved starts."""
    modules = [
        EMPTY,
        *(
            f"{state.workflow.package}.{snake(state.name)}"
            for state in states()
            if state.is_function
        ),
    ]
    compileall.compile_dir(lambda_runtime_python().parents[1] / "lib", quiet=2)  # boto3
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
        packages = {"source": source, "compiled": PACKAGE}
        measured: dict[str, dict[str, list[float]]] = {
            module: {kind: [] for kind in packages} for module in modules
        }
        for _ in range(ROUNDS):
            for module, kinds in measured.items():
                for kind, taken in kinds.items():
                    taken.append(_start(packages[kind], module))
    return {
        module: {kind: round(statistics.median(taken), 1) for kind, taken in kinds.items()}
        for module, kinds in measured.items()
    }


def _start(package: Path, module: str) -> float:
    started = subprocess.run(  # noqa: S603 # the command is ours
        [lambda_runtime_python(), "-c", CODE, module],
        cwd=package,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(started.stdout)
