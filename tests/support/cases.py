"""Inputs from public bug reports, with what is right; tests name them by number."""

import json
from typing import Any

import yaml

from tests.support.template import ROOT

CASES = ROOT / "tests" / "cases" / "rescan"


def case(name: str) -> Any:
    """Read a case by the name of its file."""
    text = (CASES / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def case_text(name: str) -> str:
    """Return the text of a case, such as a registry file."""
    return (CASES / name).read_text()
