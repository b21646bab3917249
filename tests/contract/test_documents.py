"""The documents say what the files say."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from rescan_registry.outcomes import Outcome
from tests.support.definition import NOTIFY_SCAN, SEND_DIGEST, states
from tests.support.diagram import README, readme_with_diagrams
from tests.support.template import ROOT, resources, template

DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "local" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def test_the_readme_shows_the_definition_as_it_is() -> None:
    assert README.read_text() == readme_with_diagrams(), "run make diagram"


def test_the_readme_lists_every_parameter_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", README.read_text(), re.M))
    for name, parameter in template()["Parameters"].items():
        default = str(parameter["Default"])
        assert table[name] == (f"`{default}`" if default else "*(empty)*"), name


def test_the_readme_explains_every_state_and_every_outcome() -> None:
    text = README.read_text()
    for name in [*(state.name for state in states()), *Outcome]:
        assert f"`{name}`" in text, name


def test_operations_lists_every_alarm_and_metric() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    for alarm in resources("AWS::CloudWatch::Alarm"):
        assert f"`{alarm}`" in text
    for outcome in Outcome:
        assert f"`images_{outcome.lower()}`" in text


def test_operations_names_every_rule_that_makes_somebody_be_told() -> None:
    brakes = (ROOT / "docs" / "operations.md").read_text().partition("## Brakes")[2]
    for workflow in (NOTIFY_SCAN, SEND_DIGEST):
        for event in workflow.properties["Events"]:
            assert re.search(rf"`[\w<>-]*{event}`", brakes), event


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in DOCUMENTS:
        for target in re.findall(r"`?make ([a-z][a-z-]+)", _commands(path.read_text())):
            assert target in targets, (path, target)


def test_make_leaves_the_region_of_a_deployment_to_the_operator(tmp_path: Path) -> None:
    """Only what builds or checks has one of ours, which would hide that of ~/.aws/config."""
    regions = {}
    environment = {name: value for name, value in os.environ.items() if "AWS_" not in name}
    made_already = ("build", ".venvs/dev/installed", ".venvs/sam/installed")
    for target in ("build", "check", "deploy", "redeliver"):
        # The last recipe of a target counts, and nothing that it depends on is made.
        probe = tmp_path / target
        probe.write_text(f"include Makefile\n{target}:\n\t@echo region=$$AWS_DEFAULT_REGION\n")
        assumed = [f"--assume-old={each}" for each in made_already if each != target]
        made = subprocess.run(
            ["make", "--file", probe, *assumed, target],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        regions[target] = re.findall("region=(.*)", made.stdout)
    assert regions == {
        "build": ["eu-central-1"],
        "check": ["eu-central-1"],
        "deploy": [""],
        "redeliver": [""],
    }


def test_ci_runs_what_the_readme_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    for command in ("make check", "make demo", "make test"):
        assert command in ci


def _commands(text: str) -> str:
    """Take what is set as code."""
    return "\n".join(re.findall(r"```sh\n.*?```|`make [^`]+`", text, re.S))
