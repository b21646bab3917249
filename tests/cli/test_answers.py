"""The file of answers: SAM reads it as it was meant, or it is refused before anything is built."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.answers import PARAMETERS, Answers, answers_text, check_parameters, read_answers, toml_text
from cli.exits import UsageError
from cli.template_parameters import Parameter, Template, read_template
from tests.support.template import ROOT

TEMPLATE = read_template(ROOT / "template.yaml")
SMALL = Template(
    {"Named": Parameter("UTC", "A zone."), "Alone": Parameter('a "quote"', "In no group.")},
    {"First": ("Named",)},
)
# What TOML can hold: any text without surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ecr-rescan.toml"
    path.write_text(text, "utf-8")
    return path


@given(
    stack=TEXTS,
    region=st.none() | TEXTS.filter(bool),
    parameters=st.dictionaries(st.sampled_from([*TEMPLATE.parameters]), TEXTS),
)
def test_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    stack: str,
    region: str | None,
    parameters: dict[str, str],
) -> None:
    answers = Answers(stack, region, parameters)
    path = written(tmp_path_factory.mktemp("answers"), answers_text(answers, TEMPLATE))
    assert read_answers(path) == answers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("prod/", '"prod/"'),
        (r"team/api\-gw", r'"team/api\\-gw"'),
        ('a"b', r'"a\"b"'),
        ("a\nb\x7f", r'"a\nb\U0000007f"'),
        ("\u202ea\U000e0041", r'"\U0000202ea\U000e0041"'),
    ],
)
def test_a_text_is_one_visible_line_of_toml(value: str, text: str) -> None:
    assert toml_text(value) == text
    assert tomllib.loads(f"value = {text}") == {"value": value}


def test_explains_every_parameter_by_the_template() -> None:
    text = answers_text(Answers("ecr-rescan", "eu-west-1", {"RescanAfter": "36h"}), TEMPLATE)
    for name, parameter in TEMPLATE.parameters.items():
        default = parameter.default.replace("\\", "\\\\").replace('"', '\\"')
        assert (f'\n# {name} = "{default}"\n' in text) is (name != "RescanAfter"), name
    assert '\nRescanAfter = "36h"\n' in text
    assert max(map(len, text.splitlines())) <= 100
    assert [line for line in text.splitlines() if line.startswith("# ----")] == [
        f"# ---- {title} ".ljust(100, "-") for title in TEMPLATE.groups
    ]


def test_the_commented_lines_are_answers_when_the_sign_is_removed(tmp_path: Path) -> None:
    text = answers_text(Answers("ecr-rescan", None, {}), SMALL)
    uncommented = text.replace("# Named", "Named").replace("# Alone", "Alone")
    uncommented = uncommented.replace("# region", "region").replace("# tags", "tags")
    assert read_answers(written(tmp_path, uncommented)) == Answers(
        "ecr-rescan", "eu-central-1", {"Named": "UTC", "Alone": 'a "quote"'}
    )
    assert "# ---- Others ---" in text


def test_the_section_of_deploy_precedes_that_of_all_commands(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[default.global.parameters]\nregion = "eu-west-1"\nprofile = "all"\n'
        '[default.deploy.parameters]\nprofile = "deploy"\n',
    )
    assert read_answers(path) == Answers("ecr-rescan", "eu-west-1", {}, "deploy")


def test_a_number_is_a_text_for_sam(tmp_path: Path) -> None:
    path = written(tmp_path, f"{PARAMETERS}\nHighThreshold = 3\n")
    assert read_answers(path) == Answers("ecr-rescan", None, {"HighThreshold": "3"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "cannot be read: Invalid value (at end of document)"),
        ("[default.deploy.parameters]\ntags = {a = 'b'}", "tags must be text, such as tags ="),
        (
            "[default.deploy.parameters]\nparameter_overrides = 'A=B'",
            "default.deploy.parameters.parameter_overrides must be a table, begun by "
            "[default.deploy.parameters.parameter_overrides]",
        ),
        (f"{PARAMETERS}\nIncludeFindings = true", "IncludeFindings must be text in quotes"),
        ("[default.global.parameters]\nregion = 1.5", "region must be text in quotes"),
    ],
)
def test_refuses_what_sam_would_not_read_as_it_is_meant(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read_answers(written(tmp_path, text))
    assert str(refused.value).startswith(f"{tmp_path}/ecr-rescan.toml")
    assert said in str(refused.value)


def test_refuses_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: .*directory"):
        read_answers(tmp_path)


def test_names_every_wrong_parameter_at_the_same_time() -> None:
    given = {
        "HighTreshold": "2",
        "Xyzzy": "1",
        "RescanAfter": "soon\x1b[2J",
        "RepositoryFilter": "'prod/'",
        "ExcludeTagPattern": r"a\ b",
        "ScheduleTimezone": "UTC",
    }
    with pytest.raises(UsageError) as refused:
        check_parameters(Path("mine.toml"), Answers("s", None, given), TEMPLATE)
    assert str(refused.value).splitlines() == [
        "mine.toml has 5 wrong:",
        '  HighTreshold = "2": there is no such parameter; did you mean HighThreshold?',
        '  Xyzzy = "1": there is no such parameter; docs/parameters.md lists all.',
        r'  RescanAfter = "soon\u001b[2J": must be a duration such as 7d, 36h, 2w3d, 1m (30 days) '
        "or P7D, at least 24h",
        "  RepositoryFilter = \"'prod/'\": SAM would take quotes or backslashes out of it",
        r'  ExcludeTagPattern = "a\\ b": SAM would take quotes or backslashes out of it',
    ]


def test_takes_what_the_template_takes(tmp_path: Path) -> None:
    defaults = {name: each.default for name, each in TEMPLATE.parameters.items()}
    text = answers_text(Answers("ecr-rescan", None, defaults), TEMPLATE)
    assert tomllib.loads(text)["version"] == 0.1
    answers = read_answers(written(tmp_path, text))
    check_parameters(tmp_path, answers, TEMPLATE)
    assert answers.parameters == defaults
