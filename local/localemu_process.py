"""What the engine's process runs: localemu, on loopback only, as fast as it can be.

`python -m local.localemu_process` in the local cloud's environment.
"""

import functools
import os
import signal
import sys
import tempfile
import threading

from jsonpath_ng import ext as jsonpath
from twisted.internet import endpoints  # type: ignore[import-not-found] # not in dev


def main() -> None:
    """Run localemu until its standard input is closed."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _listen_on_loopback_only()
    _parse_each_path_once()
    # Imported now: localemu copies the names that were changed above.
    from localemu.runtime.main import main as run_localemu  # noqa: PLC0415
    from localemu.services.edge import ROUTER  # noqa: PLC0415
    from localemu.services.s3 import provider as s3  # noqa: PLC0415

    from local.ecr_provider import add_control  # noqa: PLC0415

    # Its default is one directory for all engines of a machine.
    s3.DEFAULT_S3_TMP_DIR = tempfile.mkdtemp(prefix="s3-")
    add_control(ROUTER)
    run_localemu()


def _die_with_parent() -> None:
    """Kill this process and every Lambda process when whoever started them is gone.

    They are a process group of their own, and the other end of standard input is the parent's:
    the system closes it however the parent ended.
    """
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def _listen_on_loopback_only() -> None:
    """Give localemu's server the interface that localemu leaves out.

    localemu 1.3.2 binds all interfaces even with GATEWAY_LISTEN=127.0.0.1:…, measured; its
    runtime/server/twisted.py says `TODO: interface = host?`.
    """
    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )


def _parse_each_path_once() -> None:
    """Keep parsed JSONPaths.

    localemu's Step Functions parses a path whenever it reads one: 45 ms each, 0.6 s for every
    iteration of a Map, measured.
    """
    jsonpath.parse = functools.lru_cache(maxsize=4096)(jsonpath.parse)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
