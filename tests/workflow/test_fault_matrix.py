"""Each fault at each hop: what is seen, how often it is retried, and where what it held up is."""

import json
from collections import Counter

import pytest

from tests.support.engine import Engine, Execution
from tests.support.faults import Begins, Kept, Row, rows
from tests.workflow.conftest import Deploy

IMAGES = [{"tags": "fresh", "scanned": "1d"}, {"tags": "old", "scanned": "8d"}]
REPOSITORIES = ("team/api", "team/web")
REGISTRY = {"repositories": [{"name": name, "images": IMAGES} for name in REPOSITORIES]}


def of(begins: Begins) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row", [row for row in rows() if row.begins is begins], ids=lambda row: row.name
    )


def test_every_row_has_a_name_of_its_own() -> None:
    names = Counter(row.name for row in rows())
    assert names.most_common(1)[0][1] == 1
    assert len(names) >= 60


def assert_end(execution: Execution, row: Row) -> None:
    assert (execution.status, execution.error) == (
        ("FAILED", row.error) if row.error else ("SUCCEEDED", None)
    ), execution.cause


def mend(deployed: Engine) -> None:
    """End every fault."""
    deployed.attempting = lambda _, perform: perform()
    deployed.answers.clear()
    deployed.receivers.trouble = lambda _: None


@of(Begins.RUN)
def test_a_run(row: Row, deploy: Deploy) -> None:
    deployed = deploy(REGISTRY)
    row.breaks(deployed)

    run = deployed.run(name="broken")

    assert_end(run, row)
    assert deployed.retries[row.state] == row.retries
    scanned = {name for name, _ in deployed.registry.started}
    events = len(deployed.receivers.events_put)
    assert events == (row.kept is not Kept.RUN) + row.twice
    mend(deployed)
    if row.kept is Kept.RERUN:
        assert run.cause
        assert run.cause.startswith("1 of 2 repositories did not finish: team/api")
        rerun = json.loads(run.cause[run.cause.index('{"rerun_of"') :])
        assert deployed.run(rerun).status == "SUCCEEDED"
    elif row.kept is not Kept.NOTHING:
        assert deployed.run().status == "SUCCEEDED"
    else:
        assert scanned == set(REPOSITORIES) - set(row.without)
    assert deployed.registry.started.keys() == {
        (name, image.digest)
        for name in set(REPOSITORIES) - set(row.without)
        for image in deployed.registry.repositories[name].images.values()
        if image.tags == ("old",)
    }
    assert set(deployed.registry.started.values()) == {1}
