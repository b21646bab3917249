"""What a fresh machine lacks is said in one sentence, with what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.template import ROOT


def install(tmp_path: Path, *, python: str, cache: str) -> subprocess.CompletedProcess[str]:
    """Run the rule that installs an environment, with a uv that knows only its cache."""
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$1" != cache ] || echo "{cache}"\n')
    uv.chmod(0o755)
    target = tmp_path / "dev" / "installed"
    target.parent.mkdir()
    return subprocess.run(
        ["make", f"VENVS={tmp_path}", f"UV={uv}", f"PYTHON={python}", target],
        cwd=ROOT,
        env=os.environ | {"MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_says_that_python_is_missing_or_another(tmp_path: Path, python: str) -> None:
    made = install(tmp_path, python=python, cache=str(tmp_path / "cache"))

    assert made.returncode == 2
    sentence, *_ = made.stderr.splitlines()
    assert sentence.startswith(f"Python 3.13 is required, and '{python}' is not it: install")
    assert "make PYTHON=" in sentence


def test_says_that_the_cache_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    made = install(tmp_path, python=sys.executable, cache=str(tmp_path / "file" / "cache"))

    assert made.returncode == 2
    sentence, *_ = made.stderr.splitlines()
    assert "file/cache', is not writable" in sentence
    assert "UV_CACHE_DIR" in sentence


def test_installs_where_nothing_is_missing(tmp_path: Path) -> None:
    made = install(tmp_path, python=sys.executable, cache=str(tmp_path / "cache"))

    assert made.returncode == 0, made.stderr
    assert (tmp_path / "dev" / "installed").exists()


@pytest.mark.parametrize("target", ["redeliver"])
def test_a_command_starts_as_make_starts_it(target: str) -> None:
    """Its modules are found: pytest has a path of its own."""
    (line,) = re.findall(rf"^{target}:.*\n\t@(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = line.replace("$(dev)/python", sys.executable)
    command = command.replace("$(cli)", f"PYTHONPATH=. {sys.executable} -m cli")
    command = re.sub(r"\$\(\w+\)", "", command) + " --help"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "usage:" in ran.stdout.lower()


def test_every_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE)
    assert sorted(phony) == sorted({*re.findall(r"^([a-z-]+):.*## \w", text, re.MULTILINE)})
    assert {"audit", "prove"} <= {*phony}
