"""The documents say what the files say."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from rescan_registry.outcomes import Outcome
from rescan_registry.request import read_request
from tests.support.commands import commands, complaints
from tests.support.definition import SEND_DIGEST, states
from tests.support.documents import generated
from tests.support.parameters import groups
from tests.support.template import ROOT, resources, template

README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "local" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
WORKFLOWS = (ROOT / "docs" / "workflows.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
by_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_parts_are_fresh(path: Path) -> None:
    assert path.read_text() == generated()[path], "run make docs"


def test_every_parameter_is_in_a_group() -> None:
    grouped = [name for names in groups().values() for name in names]
    assert sorted(grouped) == sorted(template()["Parameters"])


def test_every_state_and_every_outcome_is_explained() -> None:
    for state in states():
        assert f"`{state.name}`" in WORKFLOWS, state.name
    for outcome in Outcome:
        assert f"\n| `{outcome}` |" in OPERATIONS, outcome


def test_operations_lists_every_metric_of_an_outcome() -> None:
    for outcome in Outcome:
        is_emitted = outcome is not Outcome.DUE  # that of dry runs, which have done nothing
        assert (f"`images_{outcome.lower()}`" in OPERATIONS) is is_emitted


def test_operations_names_every_rule_that_starts_a_notification() -> None:
    muting = OPERATIONS.partition("## Pause, throttle, or mute")[2]
    for rule in [*SEND_DIGEST.properties["Events"], *resources("AWS::Events::Rule")]:
        assert re.search(rf"`[\w<>-]*{rule}`", muting), rule


@by_document
def test_a_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text()):
        linked = path.parent / target if target else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), f"{target}#{anchor}"


@by_document
def test_the_api_would_take_every_aws_command(path: Path) -> None:
    for command in commands(path):
        assert complaints(command) == [], command


def test_the_readme_shows_aws_commands() -> None:
    """Else the test above would find nothing to check."""
    assert len(list(commands(README))) == 2


@by_document
def test_every_input_of_a_run_is_one_that_it_takes(path: Path) -> None:
    inputs = re.findall(r"--input '(\{[^']*\})'", path.read_text())
    inputs += re.findall(r"`(\{\"(?:repositories|dry_run|rerun_of)[^`]*\})`", path.read_text())
    for text in inputs:
        if "mode" not in text:
            read_request(json.loads(text))


def test_the_layout_is_that_of_the_repository() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    (tree,) = re.findall(r"## Layout\n\n```\n(.*?)```", text, re.S)
    parent, drawn = "", set[str]()
    for indent, name in re.findall(r"^( *)(\S+)", tree, re.M):
        drawn.add(name if not indent else parent + name)
        parent = parent if indent else name
    packages = {f"functions/{path.parent.name}/" for path in ROOT.glob("functions/*/__init__.py")}
    assert {name for name in drawn if name.startswith("functions/")} == {"functions/", *packages}
    assert all((ROOT / name).exists() for name in drawn)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in DOCUMENTS:
        for target in re.findall(r"`?make ([a-z][a-z-]+)", _commands(path.read_text())):
            assert target in targets, (path, target)


def test_make_leaves_the_region_of_a_deployment_to_the_operator(tmp_path: Path) -> None:
    """Only what builds or checks has one of ours, which would hide that of ~/.aws/config."""
    regions = {}
    environment = {name: value for name, value in os.environ.items() if "AWS_" not in name}
    environments = [f".venvs/{name}/installed" for name in ("checkov", "cli", "dev", "sam")]
    made_already = ("build", *environments)
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


def anchors(path: Path) -> set[str]:
    """List what a link into a document can name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
