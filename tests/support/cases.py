"""Inputs from public bug reports, with what is right; tests name them by number."""

import json
from typing import Any

import yaml

from tests.support.template import ROOT

CASES = ROOT / "tests" / "cases"  # by the workflow that they are of


def case(name: str, of: str = "rescan") -> Any:
    """Read a case by the name of its file; the others are of `notify`."""
    text = case_text(name, of)
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def case_text(name: str, of: str = "rescan") -> str:
    """Return the text of a case, such as a registry file."""
    return (CASES / of / name).read_text()
