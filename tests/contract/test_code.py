"""Where a line may stand: imports run one way, and each outside thing has one door."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.template import ROOT

FUNCTIONS = ROOT / "functions"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
MAY_IMPORT = {
    "runtime": {"runtime"},
    "registry": {"registry", "runtime"},
    "ledger": {"ledger", "registry", "own_events", "runtime"},
    "own_events": {"own_events", "runtime"},
    "rescan_registry": {"rescan_registry", "own_events", "registry", "ledger", "runtime"},
    "reporting": {"reporting", "own_events", "registry", "ledger", "runtime"},
    "accepted_risks": {"accepted_risks", "reporting", "registry", "ledger", "runtime"},
    "notify_scan": {
        "notify_scan",
        "accepted_risks",
        "reporting",
        "own_events",
        "registry",
        "ledger",
        "runtime",
    },
    "send_digest": {"send_digest", "reporting", "registry", "ledger", "runtime"},
}
LOCAL = ROOT / "local"
LOCAL_MAY_IMPORT: dict[str, set[str]] = {
    "registry": set(),
    "cloud": {"registry"},
    "receivers": {"cloud"},
    "page": {"receivers"},
    "demo": {"registry", "cloud", "receivers", "page"},
}
# What CloudFormation takes for a parameter is one rule; the module imports nothing of cli/.
LOCAL_MAY_IMPORT_OF_CLI = {"cli.template_parameters"}
ADAPTERS = {
    "registry/ecr.py",
    "ledger/bucket.py",
    "ledger/client.py",
    "ledger/table.py",
    "own_events/event_bus.py",
    "send_digest/notify_scan_executions.py",
}


def imported(path: Path) -> Iterator[str]:
    yield from (module.split(".")[0] for module in imported_modules(path))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(FUNCTIONS).parts[0]
    ours = set(imported(path)) & {*MAY_IMPORT, "cli", "local", "operations", "tests"}
    assert ours <= MAY_IMPORT[package]


def test_imports_between_the_folders_of_the_local_cloud_run_one_way() -> None:
    """An arrow that nobody draws any more goes from the table too, so these are all there are."""
    arrows: dict[str, set[str]] = {folder: set() for folder in LOCAL_MAY_IMPORT}
    for path in LOCAL.rglob("*.py"):
        folder = path.relative_to(LOCAL).parts[0]
        for module in imported_modules(path):
            package, _, rest = module.partition(".")
            if module in LOCAL_MAY_IMPORT_OF_CLI:
                continue
            assert package not in {*MAY_IMPORT, "cli", "operations", "tests"}, (path, module)
            if package == "local":
                arrows[folder] |= {rest.partition(".")[0]} - {folder}
    assert arrows == LOCAL_MAY_IMPORT


def test_aws_is_behind_the_adapters() -> None:
    users = {
        str(path.relative_to(FUNCTIONS))
        for path in MODULES
        if {"boto3", "botocore"} & set(imported(path))
    }
    assert users == ADAPTERS


def test_the_internet_is_behind_one_adapter_and_secrets_behind_another() -> None:
    texts = {str(path.relative_to(FUNCTIONS)): path.read_text() for path in MODULES}
    http = re.compile(r"^(import|from) (http|socket|ssl|urllib3|urllib\.request)\b", re.MULTILINE)
    assert {name for name, text in texts.items() if http.search(text)} == {
        "notify_scan/webhooks/client.py",  # the trusted certificates
        "notify_scan/webhooks/exchange.py",
    }
    assert [name for name, text in texts.items() if "get_secret(" in text] == [
        "notify_scan/webhooks/secrets.py"
    ]


def test_yaml_is_read_in_one_place() -> None:
    users = {str(path.relative_to(FUNCTIONS)) for path in MODULES if "yaml" in set(imported(path))}
    assert users == {"accepted_risks/yaml_reader.py"}


def test_only_settings_read_the_environment() -> None:
    readers = {path.name for path in MODULES if "os.environ" in path.read_text()}
    assert readers == {"settings.py"}


def test_time_comes_from_one_place_and_only_callers_of_ecr_sleep() -> None:
    sleepers = set()
    for path in MODULES:
        text = path.read_text()
        if path.name != "clock.py":
            assert not re.search(r"datetime\.(now|utcnow|today)\(|time\.(time|sleep)\(", text), path
            if re.search(r"\bsleep\b", text):
                sleepers.add(path.name)
    assert sleepers == {"paced_calls.py", "registry_listing.py"}


def test_nothing_happens_at_import_but_definitions() -> None:
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            assert not isinstance(node, ast.While | ast.With | ast.Try), path


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager", "service", "base"])
def test_no_module_is_a_drawer(word: str) -> None:
    for folder in ("functions", "local", "tests"):
        assert not list((ROOT / folder).rglob(f"{word}*.py"))


# What local/ uses of packages that are not made for it


def test_localemu_and_moto_are_behind_few_modules() -> None:
    users = {
        str(path.relative_to(LOCAL))
        for path in LOCAL.rglob("*.py")
        if {"localemu", "moto", "jsonpath_ng", "twisted"} & set(imported(path))
    }
    assert users == {
        "cloud/child_executions.py",  # a route on localemu's gateway
        "cloud/corrections.py",
        "cloud/ecr_provider.py",  # a provider plugin
        "cloud/lambda_executor.py",  # a runtime executor plugin
        "cloud/localemu_process.py",
        "cloud/moto_internals.py",
    }


def test_only_corrections_use_private_names_of_other_packages() -> None:
    users = set()
    for path in LOCAL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr):
                owner = node.value
                if not (isinstance(owner, ast.Name) and owner.id in {"self", "cls"}):
                    users.add(str(path.relative_to(LOCAL)))
    assert users == {"cloud/corrections.py", "cloud/moto_internals.py"}


def test_every_correction_says_what_it_replaces_and_when_to_remove_it() -> None:
    corrections = LOCAL / "cloud" / "corrections.py"
    functions = {
        node.name: node
        for node in ast.parse(corrections.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    applied = {
        call.func.id
        for name in ("correct_before_import", "correct_after_import")
        for call in ast.walk(functions[name])
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    texts = {name: ast.get_docstring(functions[name]) or "" for name in applied}
    internals = LOCAL / "cloud" / "moto_internals.py"
    patches = [
        node
        for node in ast.parse(internals.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.search("_patches|_query", node.name)
    ]
    texts |= {node.name: ast.get_docstring(node) or "" for node in patches}
    assert len(texts) == 29 + 8
    for name, text in texts.items():
        for line in (r"Replaces: \S", r"Upstream: \S", r"Remove when \S"):
            assert re.search(rf"^{line}", text, re.M), (name, line)


def foreign_names(path: Path) -> Iterator[str]:
    """Find what a file takes from inside moto: its modules but the first, by import or by text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("moto."))
        elif isinstance(node, ast.ImportFrom):
            parts = [alias.name for alias in node.names]
            if (node.module or "").startswith("moto.") or (
                node.module == "moto" and parts != ["mock_aws"]
            ):
                yield f"{node.module}: {', '.join(parts)}"
        elif isinstance(node, ast.Constant) and re.match(r"moto\.\w", str(node.value)):
            yield str(node.value)


def test_names_from_inside_moto_are_in_one_module() -> None:
    owner = ROOT / "local" / "cloud" / "moto_internals.py"
    found = {
        path.relative_to(ROOT).as_posix(): names
        for folder in ("cli", "functions", "local", "operations", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if path != owner and (names := [*foreign_names(path)])
    }
    assert found == {}
    assert [*foreign_names(owner)]
