"""The program of the engine's process: `python -m local.cloud.localemu_process`."""

import os
import shutil
import signal
import sys
import tempfile
import threading

from local.cloud.corrections import correct_after_import, correct_before_import


def main() -> None:
    """Run localemu, with corrections, until its parent process exits."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    correct_before_import()
    from localemu.runtime.main import main as run_localemu  # noqa: PLC0415
    from localemu.services.edge import ROUTER  # noqa: PLC0415

    from local.cloud import child_executions  # noqa: PLC0415
    from local.cloud.ecr_provider import add_control  # noqa: PLC0415

    correct_after_import()
    add_control(ROUTER)
    child_executions.add_route(ROUTER)
    run_localemu()


def _die_with_parent() -> None:
    """Kill this process and its Lambda processes when the parent has exited.

    They are a process group of their own, and the other end of standard input is the parent's:
    the system closes it however the parent ended.
    """
    sys.stdin.buffer.read()
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)  # the directory of this engine alone
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
