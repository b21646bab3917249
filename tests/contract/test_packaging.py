"""What is installed is pinned by hash, and what is tested is what is deployed."""

import re
import tomllib
from pathlib import Path

import pytest

from cli import VERSION
from tests.support.template import ROOT, template
from tests.support.third_parties import DEPLOYED, third_parties

LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "functions" / "requirements.txt"]


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.M | re.I))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_package_has_a_version_and_a_hash(path: Path) -> None:
    entries = re.split(r"\n(?=\S)", path.read_text().strip())
    assert entries
    for entry in entries:
        assert re.match(r"[a-zA-Z0-9._\[\],-]+==", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_no_lock_names_a_registry(path: Path) -> None:
    assert "://" not in path.read_text()


def test_functions_depend_on_two_packages_directly() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert groups["lambda"] == ["aws-lambda-powertools", "pyyaml"]


def test_every_license_of_what_is_deployed_is_permissive() -> None:
    """These demand no more than their text, which is in the package."""
    assert {each.license for each in third_parties()} <= {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
    }
    assert {each.name for each in third_parties()} == {*DEPLOYED}


def test_tests_run_with_the_versions_that_are_deployed() -> None:
    dev = pins(ROOT / "requirements" / "dev.txt")
    for name, version in pins(ROOT / "functions" / "requirements.txt").items():
        assert dev[name] == version, name


def test_tests_and_local_functions_speak_the_same_boto3() -> None:
    dev = pins(ROOT / "requirements" / "dev.txt")
    runtime = pins(ROOT / "requirements" / "lambda-runtime.txt")
    assert dev["boto3"] == runtime["boto3"]
    assert dev["botocore"] == runtime["botocore"]


def test_one_python_everywhere() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    local = tomllib.loads((ROOT / "local" / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.12"
    assert local["requires-python"] == f"=={version}.*"
    assert template()["Globals"]["Function"]["Runtime"] == f"python{version}"


def test_one_version_everywhere() -> None:
    """The changelog begins with it, so that no release goes without its notes."""
    version = template()["Metadata"]["AWS::ServerlessRepo::Application"]["SemanticVersion"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    heading = re.search(r"^## (.+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading
    assert project["version"] == heading[1] == version == VERSION
    assert template()["Outputs"]["Version"]["Value"] == version
