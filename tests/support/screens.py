"""What commands print, as tests/cli/screens/ has it; REWRITE_SCREENS=1 writes the files."""

import os

from tests.support.template import ROOT

SCREENS = ROOT / "tests" / "cli" / "screens"


def kept_screen(name: str, printed: str) -> str:
    """Return the screen that is kept under a name, after writing it if that is asked for."""
    path = SCREENS / f"{name}.txt"
    if os.environ.get("REWRITE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(printed)
    return path.read_text()
