"""Part of `make build`: let the packages that `sam build` has built start faster.

`python -m operations.lean_packages DIRECTORY` removes what no function uses, and compiles the rest.
Lambda mounts a package read-only, so that each start would compile it again. Without this step, a
package works the same. See docs/decisions/0020-packages-are-compiled-when-they-are-built.md.
"""

import compileall
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

# Half of the modules of Powertools, by size.
UNUSED = (
    "event_handler",
    "utilities/auth_alpha",
    "utilities/batch",
    "utilities/circuit_breaker",
    "utilities/data_classes",
    "utilities/data_masking",
    "utilities/feature_flags",
    "utilities/idempotency",
    "utilities/kafka",
    "utilities/parser",
    "utilities/streaming",
    "utilities/validation",
)
TASK_ROOT = "/var/task"  # where Lambda mounts a package: the path that tracebacks show


class CompilationError(Exception):
    """A module cannot be compiled; compileall has printed why."""


def make_lean(build: Path) -> None:
    """Remove and compile in the package of the first function, and copy it for all others.

    All functions have the same package: the template has one CodeUri.
    """
    first, *others = sorted(path for path in build.iterdir() if path.is_dir())
    for module in UNUSED:
        shutil.rmtree(first / "aws_lambda_powertools" / module)
    for scripts in first.glob("*.data"):  # commands of a dependency, which no function runs
        shutil.rmtree(scripts)
    # SAM drops the times of files from the archive, so Python must not compare them.
    compiled = compileall.compile_dir(
        first,
        quiet=1,
        force=True,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        stripdir=first,
        prependdir=TASK_ROOT,
    )
    if not compiled:
        raise CompilationError(first)
    for other in others:
        shutil.rmtree(other)
        shutil.copytree(first, other)


if __name__ == "__main__":
    make_lean(Path(sys.argv[1]))
