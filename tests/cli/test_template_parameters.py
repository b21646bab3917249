"""What CloudFormation takes for a parameter, by the declarations of a template."""

from pathlib import Path

import pytest

from cli.template_parameters import Parameter, read_template
from tests.support.parameters import groups
from tests.support.template import ROOT, template

DECLARED = """\
Parameters:
  Free: {Type: String}
  Named: {Type: String, MinLength: 1, Default: UTC}
  Counted: {Type: Number, MinValue: 1, MaxValue: 40, Default: 4}
  Chosen: {Type: String, AllowedValues: ["3600", "86400"], Default: "3600"}
  Short: {Type: String, AllowedPattern: "^a+$"}
  Said: {Type: String, AllowedPattern: "^(|b)$", ConstraintDescription: must be empty or b}
Resources:
  Any: {Type: !Sub any}
"""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parameter]:
    path = tmp_path_factory.mktemp("template") / "template.yaml"
    path.write_text(DECLARED)
    return {**read_template(path).parameters}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Free", "", None),
        ("Free", "two\nlines", None),
        ("Named", "", "a text that matches (?s:.{1,})"),
        ("Counted", "40", None),
        ("Counted", "0", "a whole number from 1 to 40"),
        ("Counted", "41", "a whole number from 1 to 40"),
        ("Counted", "4.0", "a whole number from 1 to 40"),
        ("Counted", "٤", "a whole number from 1 to 40"),
        ("Chosen", "86400", None),
        ("Chosen", "60", "one of 3600, 86400"),
        ("Short", "aa", None),
        ("Short", "aab", "a text that matches ^a+$"),
        ("Said", "", None),
        ("Said", "c", "empty or b"),
    ],
)
def test_says_what_a_value_must_be(
    declared: dict[str, Parameter], name: str, value: str, said: str | None
) -> None:
    assert declared[name].refusal(value) == said


def test_reads_the_parameters_and_groups_of_the_template() -> None:
    found = read_template(ROOT / "template.yaml")
    assert [*found.parameters] == [*template()["Parameters"]]
    assert {title: [*names] for title, names in found.groups.items()} == groups()
    for name, each in found.parameters.items():
        assert each.refusal(each.default) is None, name
        assert each.description.endswith("."), name


def test_a_template_can_have_no_groups(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(DECLARED)
    assert read_template(path).groups == {}
