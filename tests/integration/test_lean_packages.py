"""What `make build` does after `sam build`, with packages that SAM has built in two folders."""

import hashlib
import marshal
import re
import shutil
import subprocess
from collections import Counter
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from local.cloud.deployment import Application
from local.cloud.interpreters import lambda_runtime_python
from operations.lean_packages import UNUSED, CompilationError, make_lean
from tests.support.definition import functions
from tests.support.template import ROOT, resources, template
from tests.support.third_parties import DEPLOYED, third_parties

pytestmark = pytest.mark.xdist_group("lean packages")

SOURCES = ("template.yaml", "samconfig.toml", "functions", "statemachine")
HANDLERS = [function.module for function in functions()]
UNCHECKED = (1).to_bytes(4, "little")


def build(root: Path) -> Path:
    """Build a clone, as the local cloud does and by the commands of `make build`."""
    root.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    return Application(root).build().parent


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def start(package: Path, module: str) -> subprocess.CompletedProcess[str]:
    """Import an entry point as Lambda does: nothing but the package and the runtime."""
    return subprocess.run(
        [lambda_runtime_python(), "-c", f"import {module}; print({module}.__file__)"],
        cwd=package,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("one") / "clone")


@pytest.fixture
def package(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built / "InterpretEventFunction", tmp_path / "package")


@pytest.mark.slow
def test_two_clones_in_different_folders_build_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    other = build(tmp_path / "a folder with a longer name" / "ecr-rescan")
    functions = sorted(resources("AWS::Serverless::Function"))
    assert sorted(path.name for path in built.iterdir() if path.is_dir()) == functions
    expected = hashes(built / functions[0])
    assert "runtime/__pycache__/entrypoint.cpython-313.pyc" in expected
    for name in functions:
        assert hashes(built / name) == expected
        assert hashes(other / name) == expected


@pytest.mark.slow
def test_every_module_is_compiled_never_compared_and_known_by_its_path_on_lambda(
    package: Path,
) -> None:
    modules = sorted(package.rglob("*.py"))
    assert len(modules) > 100
    for module in modules:
        (compiled,) = (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")
        data = compiled.read_bytes()
        assert data[:8] == MAGIC_NUMBER + UNCHECKED
        code = marshal.loads(data[16:])
        assert code.co_filename == f"/var/task/{module.relative_to(package).as_posix()}"


@pytest.mark.slow
@pytest.mark.parametrize("module", HANDLERS)
def test_a_function_starts_without_reading_a_source(package: Path, module: str) -> None:
    for source in package.rglob("*.py"):
        source.write_text("this is not Python")
    started = start(package, module)
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith(str(package))


@pytest.mark.slow
def test_another_python_compiles_the_sources_as_before(package: Path) -> None:
    for compiled in package.rglob("*.pyc"):
        compiled.write_bytes(b"\0\0\r\n" + compiled.read_bytes()[4:])
    started = start(package, "notify_scan.interpret_event")
    assert started.returncode == 0, started.stderr


@pytest.mark.slow
def test_a_package_holds_our_sources_four_dependencies_and_nothing_else(package: Path) -> None:
    ours = {path.name for path in (ROOT / "functions").iterdir() if path.name != "__pycache__"}
    dependencies = {"aws_lambda_powertools", "jmespath", "typing_extensions.py", "_yaml", "yaml"}
    metadata = {
        f"{name.replace('-', '_')}-{version}.dist-info" for name, version in DEPLOYED.items()
    }
    top = {path.name for path in package.iterdir()}
    assert top == {*ours, *dependencies, *metadata, "__pycache__"}

    files = [path.relative_to(package) for path in package.rglob("*") if path.is_file()]
    suffixes = Counter(path.suffix for path in files if path.parts[0] not in metadata)
    assert {*suffixes} == {".py", ".pyc", ".so", ".txt", ".typed"}
    assert suffixes[".so"] == suffixes[".txt"] == 1
    sources = [path.relative_to(ROOT / "functions") for path in (ROOT / "functions").rglob("*.py")]
    assert {path for path in files if path.parts[0] in ours and path.suffix == ".py"} == {*sources}
    named = {path.name for path in files if path.parts[0] in metadata}
    assert named == {"LICENSE", "METADATA", "RECORD", "WHEEL", "top_level.txt"}


@pytest.mark.slow
def test_no_test_and_no_secret_is_in_a_package(package: Path) -> None:
    for path in package.rglob("*"):
        assert not re.search(
            r"(^|_)tests?(_|$)|conftest|\.env|\.pem|\.key|credentials", path.stem
        ), path
        if path.is_file():
            # Forms of AWS access keys and of private keys.
            assert not re.search(
                rb"\b(AKIA|ASIA)[A-Z0-9]{16}\b|BEGIN [A-Z ]*PRIVATE KEY", path.read_bytes()
            )


@pytest.mark.slow
def test_every_license_that_the_document_names_is_in_the_package(package: Path) -> None:
    for each in third_parties():
        assert (package / each.license_file).read_text().strip()


@pytest.mark.slow
def test_nothing_that_is_removed_is_in_the_package(package: Path) -> None:
    powertools = package / "aws_lambda_powertools"
    assert (powertools / "logging").is_dir()
    assert [module for module in UNUSED if (powertools / module).exists()] == []


def test_a_module_that_cannot_be_compiled_ends_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in UNUSED:
        (tmp_path / "AnyFunction" / "aws_lambda_powertools" / module).mkdir(parents=True)
    (tmp_path / "AnyFunction" / "broken.py").write_text("def")
    with pytest.raises(CompilationError, match="AnyFunction"):
        make_lean(tmp_path)
    assert "broken.py" in capsys.readouterr().out


def test_an_unused_module_that_is_gone_ends_the_build(tmp_path: Path) -> None:
    """The list is kept with the version of Powertools."""
    (tmp_path / "AnyFunction" / "aws_lambda_powertools").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=UNUSED[0]):
        make_lean(tmp_path)


def test_all_functions_have_one_package() -> None:
    assert "CodeUri" in template()["Globals"]["Function"]
    for function in resources("AWS::Serverless::Function").values():
        assert "CodeUri" not in function


def test_make_build_ends_with_it() -> None:
    steps = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "build"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert steps[-2].endswith("/sam build")
    assert steps[-1].endswith("python -m operations.lean_packages .aws-sam/build")
