"""What holds for every test: no network, no deadline for Hypothesis, marks by folder and kind."""

import functools
import gc
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import Phase, settings
from pytest_socket import disable_socket, socket_allow_hosts

from runtime.log import logger
from runtime.settings import loaded
from tests.support.receivers import SECRET_PARTS

# Engines in process make and drop hundreds of thousands of small objects; looking for cycles among
# them as often as Python does by default takes a fifth of their time.
gc.set_threshold(200_000, 50, 50)

# Every session of boto3 reads the models of its services anew, which takes longer than most tests.
_read_model = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda _, path: _read_model(path)

settings.register_profile("ecr-rescan", deadline=None)
settings.load_profile("ecr-rescan")
# The mutation gate asks only whether a test fails, and not for the smallest example of it.
settings.register_profile(
    "mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate]
)


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the local cloud, and what chance decides about.

    One worker runs the tests of a deployment, which share one engine; another one runs the demo,
    which has an engine of its own. Generated examples do not count for the coverage: what they
    happen to reach must also be reached by a test that reaches it each time, and without being
    traced they take a third of the time.
    """
    for item in items:
        path = Path(item.path)
        if path.parent.name == "cloud":
            item.add_marker(pytest.mark.cloud)
            item.add_marker(pytest.mark.xdist_group("demo" if "demo" in path.name else "cloud"))
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """Keep what was imported out of the search for cycles: it stays to the end anyway."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Cut the network; the local cloud alone is reached, over loopback."""
    if item.get_closest_marker("cloud"):
        socket_allow_hosts(["127.0.0.1", "localhost"], allow_unix_socket=True)
    else:
        disable_socket(allow_unix_socket=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Fail whatever test logs, prints or raises an address or a key of a webhook."""
    report = yield
    said = "".join(text for _, text in report.sections) + report.longreprtext
    if any(part in said for part in SECRET_PARTS):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} has logged, printed or raised a secret of a webhook"
    return report


@pytest.fixture(autouse=True)
def _settings() -> None:
    """Let every test read settings from the environment that it sets."""
    loaded.cache_clear()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Catch what the functions log; Powertools holds on to the stdout of its import."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream
