"""What make package and make publish make of the template."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import ManualArgs, lint

from operations.publishable import make_publishable
from tests.support.roles import actions_in, actions_of_roles
from tests.support.template import ROOT, template

PREFIX = "ecr-rescan/0.4.0"
MOST_IN_S3 = 1_000_000  # bytes of a template


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a build of two functions, which have the same code."""
    build = tmp_path_factory.mktemp("build")
    for name in ("B", "A"):
        (build / name / "package").mkdir(parents=True)
        (build / name / "package" / "code.py").write_text("any")
    (build / "template.yaml").write_text("any")
    return build


def packaged(build: Path, directory: Path) -> Path:
    python = os.environ.get("SAM_PYTHON") or str(ROOT / ".venvs" / "sam" / "bin" / "python")
    ran = subprocess.run(
        [python, "-m", "operations.package", build, directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return Path(ran.stdout.strip())


@pytest.mark.slow
def test_a_package_is_a_template_without_transform_and_the_files_that_it_names(
    built: Path, tmp_path: Path
) -> None:
    path = packaged(built, tmp_path / "dist")
    text = path.read_text()
    document: dict[str, Any] = json.loads(text)
    assert path == tmp_path / "dist" / PREFIX / "template.json"
    assert len(text.encode()) < MOST_IN_S3
    assert "Transform" not in document
    assert {*document["Parameters"]} == {*template()["Parameters"], "ArtifactBucketPrefix"}
    assert [*document["Metadata"]] == ["AWS::CloudFormation::Interface"]
    assert not re.search(r"arn:aws[a-z-]*:iam::aws", text), "a policy of one partition alone"
    keys = set(re.findall(rf'"{PREFIX}/[^"]+"', text))
    assert {key.strip('"') for key in keys} == {
        f"{PREFIX}/{each.name}" for each in path.parent.iterdir() if each != path
    }
    (archive,) = path.parent.glob("functions-*.zip")
    assert zipfile.ZipFile(archive).namelist() == ["package/code.py"]
    assert len([*path.parent.glob("*.asl.yaml")]) == 3
    regions = ["eu-central-1", "us-gov-west-1", "cn-north-1"]
    assert lint(text, config=ManualArgs(regions=regions)) == []


@pytest.mark.slow
def test_the_roles_in_docs_security_are_those_that_are_deployed(
    built: Path, tmp_path: Path
) -> None:
    """SAM adds statements of its own."""
    document: dict[str, Any] = json.loads(packaged(built, tmp_path / "dist").read_text())
    assert actions_in(document) == actions_of_roles()


@pytest.mark.slow
def test_the_same_code_is_the_same_package(built: Path, tmp_path: Path) -> None:
    first, second = (packaged(built, tmp_path / name).parent for name in ("first", "second"))
    contents = [
        {each.name: each.read_bytes() for each in path.iterdir()} for path in (first, second)
    ]
    assert contents[0] == contents[1]


def test_a_release_has_all_metadata_that_sam_publishes(tmp_path: Path) -> None:
    metadata = template()["Metadata"]
    (tmp_path / "template.yaml").write_text(yaml.safe_dump({"Metadata": metadata}))
    home, source = "https://example.com", "https://example.com/source"
    make_publishable(tmp_path / "template.yaml", tmp_path / "release.json", home, source)
    application = json.loads((tmp_path / "release.json").read_text())["Metadata"][
        "AWS::ServerlessRepo::Application"
    ]
    assert application == metadata["AWS::ServerlessRepo::Application"] | {
        "HomePageUrl": home,
        "SourceCodeUrl": source,
    }
    # https://docs.aws.amazon.com/serverlessrepo/latest/devguide/serverlessrepo-publishing-applications.html
    assert re.fullmatch(r"[A-Za-z0-9-]{1,140}", application["Name"])
    assert 1 <= len(application["Description"]) <= 256
    assert 1 <= len(application["Author"]) <= 127
    assert len(application["Labels"]) <= 10
    for file in ("LicenseUrl", "ReadmeUrl"):
        assert (ROOT / application[file]).is_file()


@pytest.mark.parametrize(("home", "source"), [("", "https://a.b"), ("https://a.b", "http://a.b")])
def test_a_release_without_addresses_is_refused(tmp_path: Path, home: str, source: str) -> None:
    with pytest.raises(SystemExit, match=r"^(HOME_PAGE|SOURCE_CODE)_URL must be an address"):
        make_publishable(tmp_path / "template.yaml", tmp_path / "release.json", home, source)
