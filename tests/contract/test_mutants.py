"""The list of the mutation gate follows the modules, their tests and their pins."""

import re

import pytest

from tests.support.mutants import (
    Mutant,
    Result,
    adapters,
    decorated_afterwards,
    equivalents,
    modules,
)
from tests.support.template import ROOT


@pytest.mark.parametrize("module", modules())
def test_every_module_of_the_gate_exists_and_has_tests(module: str) -> None:
    assert (ROOT / "functions" / module).is_file()
    assert modules()[module]
    for path in modules()[module]:
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("mutant", equivalents(), ids=str)
def test_every_equivalent_mutant_changes_a_line_that_the_module_has(mutant: Mutant) -> None:
    assert mutant.module in modules()
    source = " ".join((ROOT / "functions" / mutant.module).read_text().split())
    assert mutant.before in source
    assert f"def {mutant.function.rpartition('.')[2]}(" in source
    assert mutant.after != mutant.before
    assert equivalents()[mutant].endswith(".")


@pytest.mark.parametrize("module", adapters())
def test_what_is_left_out_of_a_module_is_there(module: str) -> None:
    assert module in modules()
    source = (ROOT / "functions" / module).read_text()
    for function in adapters()[module]:
        assert f"def {function.rpartition('.')[2]}(" in source


def test_mutants_run_with_the_pins_of_the_tests() -> None:
    dev, mutants = (
        set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.M))
        for name in ("dev", "mutants")
    )
    assert dev <= mutants, "run make lock"


def test_the_score_counts_no_equivalent_mutant() -> None:
    one, other = Mutant("any.py", "any", "a", "b"), Mutant("any.py", "any", "a", "c")
    result = Result("any.py", total=11, survivors=(one, other))
    assert result.score({}) == pytest.approx(900 / 11)
    assert result.score({one: "any"}) == pytest.approx(90)
    assert result.unexplained({one: "any"}) == [other]


DECORATED = """\
@total_ordering
@dataclass(frozen=True)
class Any:
    size: int

    @property
    def half(self):
        return self.size / 2

    @staticmethod
    def one():
        return 1
"""
DECORATED_AFTERWARDS = """\


class Any:
    size: int


    def half(self):
        return self.size / 2
    half = property(half)

    @staticmethod
    def one():
        return 1
Any = dataclass(frozen=True)(Any)
Any = total_ordering(Any)
"""


def test_mutmut_reads_classes_and_properties_without_decorators() -> None:
    assert decorated_afterwards(DECORATED) == DECORATED_AFTERWARDS
