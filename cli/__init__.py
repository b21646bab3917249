"""The command line of ecr-rescan, which reads with the code of the functions."""

import sys
from pathlib import Path

VERSION = "0.4.0"

_HERE = Path(__file__).parent
# Installed, the functions are inside this package; in a checkout, beside it.
_FUNCTIONS = next(
    path for path in (_HERE / "_functions", _HERE.parent / "functions") if path.is_dir()
)
sys.path.insert(0, str(_FUNCTIONS))
