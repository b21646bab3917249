"""The mutation gate: `make mutants` measures how many faults the tests of the pure rules find.

mutmut makes one small fault after another in a module, and runs the tests of that module on each.
tests/mutants.toml lists the modules, their tests, and the faults that no test can find. mutmut does
not change constants of a module, or what has a decorator: so classes and properties, as mutmut
reads them, are decorated by a statement after them.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.support.template import ROOT

CONTENTS = ROOT / "tests" / "mutants.toml"
LEAST_SCORE = 95.0  # percent
WORK = ROOT / ".mutants"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
_COMMANDS = """
import json, sys
from mutmut.__main__ import cli
for command in json.loads(sys.argv[1]):
    cli(command, standalone_mode=False)
"""
_KILLED = ("killed", "timeout")
_CHANGED = re.compile(r"^([-+])(?!--|\+\+)(.*)$", re.MULTILINE)
# For pytest in mutmut's copy of the project. The profile makes Hypothesis try the same examples in
# every run, and look for no smaller ones.
_PYTEST = (
    "-o", "addopts=--strict-markers --strict-config --import-mode=importlib",
    "-o", "pythonpath=src .",
    "-p", "no:cacheprovider",
    "--hypothesis-profile=mutants",
    "-m", "not scale and not slow",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Mutant:
    """A fault: the changed lines of a function before and after, without indentation."""

    module: str
    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.module}: {self.function}\n  - {self.before}\n  + {self.after}"


@dataclass(frozen=True)
class Result:
    """How many mutants a module has, and which of them no test has killed."""

    module: str
    total: int
    survivors: tuple[Mutant, ...]

    def unexplained(self, equivalent: Collection[Mutant]) -> list[Mutant]:
        """Return the survivors that a test should have killed."""
        return [mutant for mutant in self.survivors if mutant not in equivalent]

    def score(self, equivalent: Collection[Mutant]) -> float:
        """Return how many percent of the mutants are killed, leaving out the equivalent ones."""
        unexplained = len(self.unexplained(equivalent))
        found = self.total - len(self.survivors)
        return 100 * found / (found + unexplained)


def modules() -> dict[str, list[str]]:
    """Return the test files of each module, whose path is relative to functions/."""
    contents = tomllib.loads(CONTENTS.read_text())
    return dict(contents["modules"])


def adapters() -> dict[str, list[str]]:
    """Return the functions of each module that are left out, because they call AWS."""
    contents = tomllib.loads(CONTENTS.read_text())
    return dict(contents.get("adapters", {}))


def equivalents() -> dict[Mutant, str]:
    """Return the mutants that no test can kill, each with the reason."""
    contents = tomllib.loads(CONTENTS.read_text())
    return {
        Mutant(each["module"], each["function"], each["before"], each["after"]): each["reason"]
        for each in contents.get("equivalent", [])
    }


def measure(module: str, tests: Iterable[str]) -> Result:
    """Run the tests of a module on all of its mutants."""
    folder = WORK / module.removesuffix(".py").replace("/", ".")
    _prepare(folder, module, tests)
    children = str(os.process_cpu_count() or 1)
    with (folder / "run.log").open("w") as log:
        command = [MUTMUT, "run", "--max-children", children]
        run = subprocess.run(command, cwd=folder, check=False, stdout=log, stderr=log)
    if run.returncode:
        raise SystemExit(f"mutmut failed on {module}. Its output is in {folder / 'run.log'}.")
    left_out = adapters().get(module, [])
    listed = _mutmut(folder, [["results", "--all", "1"]])
    statuses = {
        name: status
        for name, status in re.findall(r"^\s+(\S+): (.+)$", listed, re.M)
        if _function(name) not in left_out
    }
    missed = [name for name, status in statuses.items() if status not in _KILLED]
    shown = _mutmut(folder, [["show", name] for name in missed])
    survivors = (_mutant(module, diff) for diff in re.split(r"^# ", shown, flags=re.M)[1:])
    return Result(module, len(statuses), tuple(sorted(survivors)))


def _prepare(folder: Path, module: str, tests: Iterable[str]) -> None:
    """Make a folder for mutmut, which reads its configuration from the current folder only."""
    shutil.rmtree(folder, ignore_errors=True)
    # mutmut derives a module's name from its path, and takes only src/ for an import root.
    shutil.copytree(ROOT / "functions", folder / "src")
    source = folder / "src" / module
    source.write_text(decorated_afterwards(source.read_text()))
    copied = ("tests", "docs", "pyproject.toml", "template.yaml")
    for name in copied:
        (folder / name).symlink_to(ROOT / name)
    config = RawConfigParser()
    config["mutmut"] = {
        "source_paths": "src",
        "only_mutate": f"src/{module}",
        "also_copy": "\n".join(("", *copied)),
        "pytest_add_cli_args": "\n".join(("", *_PYTEST)),
        "pytest_add_cli_args_test_selection": "\n".join(("", *tests)),
    }
    with (folder / "setup.cfg").open("w") as file:
        config.write(file)


def decorated_afterwards(source: str) -> str:
    """Return a module in which a statement after each class and property decorates it."""
    lines = source.splitlines()
    for node in reversed([*ast.walk(ast.parse(source))]):  # a class after what is in it
        match node:
            case ast.ClassDef() | ast.FunctionDef(decorator_list=[ast.Name("property")]):
                for decorator in reversed(node.decorator_list):
                    lines[decorator.lineno - 1] = ""
                    applied = f"{node.name} = {ast.unparse(decorator)}({node.name})"
                    lines[(node.end_lineno or 0) - 1] += f"\n{' ' * node.col_offset}{applied}"
    return "\n".join((*lines, ""))


def _mutmut(folder: Path, commands: list[list[str]]) -> str:
    """Run commands of mutmut in one process, because its imports take seconds."""
    return subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps(commands)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _mutant(module: str, shown: str) -> Mutant:
    """Read what `mutmut show` prints: the name and the status in one line, and a unified diff."""
    name, _, diff = shown.partition(": ")
    lines: dict[str, list[str]] = {"-": [], "+": []}
    for sign, line in _CHANGED.findall(diff):
        lines[sign].append(line.strip())
    return Mutant(module, _function(name), " ".join(lines["-"]), " ".join(lines["+"]))


def _function(name: str) -> str:
    """Return the function that mutmut's name of a mutant has, with its class if it is a method."""
    function = name.rpartition(".")[2].partition("__mutmut_")[0]
    return function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


def main(wanted: Collection[str]) -> int:
    """Print the score of each module, or of those whose path contains a wanted word."""
    out = Console(highlight=False, markup=False, soft_wrap=True)
    equivalent, is_passed = equivalents(), True
    out.print(f"{'module':40} {'killed':>6} {'total':>6} {'equivalent':>10} {'score':>7}")
    for module, tests in modules().items():
        if wanted and not any(word in module for word in wanted):
            continue
        result = measure(module, tests)
        unexplained, score = result.unexplained(equivalent), result.score(equivalent)
        killed = result.total - len(result.survivors)
        explained = len(result.survivors) - len(unexplained)
        out.print(f"{module:40} {killed:6} {result.total:6} {explained:10} {score:6.1f}%")
        for mutant, times in Counter(unexplained).items():
            out.print(f"  survived{f' {times} times' if times > 1 else ''}: {mutant}")
        here = {mutant for mutant in equivalent if mutant.module == module}
        for mutant in sorted(here - {*result.survivors}):
            out.print(f"  explained in {CONTENTS.name}, but not among the survivors: {mutant}")
            is_passed = False
        is_passed &= score >= LEAST_SCORE
    if not is_passed:
        out.print(f"At least {LEAST_SCORE:.0f} % of the mutants of each module must be killed.")
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
