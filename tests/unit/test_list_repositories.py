import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.run_records import RecordStatus
from registry.errors import EcrThrottled, EcrUnavailable
from rescan_registry import list_repositories as module
from rescan_registry.list_repositories import RunStart, list_repositories
from rescan_registry.registry_listing import Waiting
from rescan_registry.repository_choice import RepositoryChoice, RunPlan, Selection, Sources
from rescan_registry.request import InvalidRescanRequest
from rescan_registry.settings import ListRepositoriesSettings
from runtime import patterns
from runtime.settings import SettingsError
from tests.support.builders import DEFAULT_SETTINGS, any_policy, any_record
from tests.support.cases import case
from tests.support.clock import NOW
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket, FakeRecords, FakeRegistry, FakeRunState
from tests.support.settings import settings_now

NAMES = ["prod/api", "prod/web", "team/prod/api"]
LIST = "runs/run-2/repositories.json"
WAITS: list[float] = []


@pytest.fixture(autouse=True)
def parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEFAULT_SETTINGS.items():
        monkeypatch.setenv(name, value)


def plan(
    asked: object,
    *,
    registry: FakeRegistry | None = None,
    bucket: FakeBucket | None = None,
    records: FakeRecords | None = None,
    state: FakeRunState | None = None,
) -> RunPlan:
    sources: Any = Sources(
        registry=registry or FakeRegistry(names=NAMES),  # type: ignore[arg-type]
        bucket=bucket or FakeBucket(),  # type: ignore[arg-type]
        records=records or FakeRecords(),  # type: ignore[arg-type]
        state=state or FakeRunState(),  # type: ignore[arg-type]
        waiting=Waiting(now=lambda: NOW, sleep=WAITS.append, chance=lambda: 1.0),
    )
    return list_repositories(
        RunStart("run-2", asked),
        settings=settings_now(ListRepositoriesSettings),
        sources=sources,
        now=NOW,
    )


def test_takes_the_whole_registry_by_default() -> None:
    bucket = FakeBucket()
    assert plan({}, bucket=bucket) == RunPlan(
        run="run-2",
        scan_type="BASIC",
        repositories=3,
        list_key=LIST,
        choice=RepositoryChoice(Selection.PARAMETER, "", listed=3),
        tolerated_failure_percentage=34,
        policy=any_policy(),
        records_expire_at=str(int(datetime(2026, 4, 13, 3, 0, tzinfo=UTC).timestamp())),
        notice="3 of 3 repositories in the registry",
    )
    assert bucket.kept == {LIST: NAMES}


@pytest.mark.parametrize(
    ("parameter", "asked", "taken", "notice"),
    [
        ("", "prod/", NAMES[:2], "2 of 3 repositories whose names match 'prod/' from the start"),
        ("prod/", None, NAMES[:2], "2 of 3 repositories whose names match 'prod/' from the start"),
        ("prod/", "team/", NAMES[2:], "1 of 3 repositories whose names match 'team/' from the"),
        ("", ".*/api", [NAMES[0], NAMES[2]], r"2 of 3 repositories whose names match '.*/api'"),
    ],
)
def test_filters_names_from_their_start(
    parameter: str,
    asked: str | None,
    taken: list[str],
    notice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPOSITORY_FILTER", parameter)
    bucket = FakeBucket()
    planned = plan({"repository_filter": asked}, bucket=bucket)
    assert bucket.kept == {LIST: taken}
    assert planned.notice.startswith(notice)


@pytest.mark.parametrize("is_input", [False, True])
def test_case_09_names_a_filter_that_hangs(
    monkeypatch: pytest.MonkeyPatch, *, is_input: bool
) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.5)
    told = case("09-redos-repository-filter.json")
    pattern, registry = (
        told["parameter"]["RepositoryFilter"],
        FakeRegistry(names=told["repositories"]),
    )
    quick = "must be a regular expression that matches within seconds, such as one without (a+)+"
    if is_input:
        with pytest.raises(InvalidRescanRequest) as refused:
            plan({"repository_filter": pattern}, registry=registry)
        assert str(refused.value) == f"repository_filter {quick}, not {pattern!r}"
    else:
        monkeypatch.setenv("REPOSITORY_FILTER", pattern)
        with pytest.raises(SettingsError) as raised:
            plan({}, registry=registry)
        assert str(raised.value) == f"RepositoryFilter {quick}, not {pattern!r}"


def test_begins_where_the_run_before_had_to_end() -> None:
    bucket = FakeBucket()
    names = ["team/c", "team/a", "team/d", "team/b"]
    plan({}, registry=FakeRegistry(names=names), bucket=bucket, state=FakeRunState(first="team/c"))
    assert bucket.kept[LIST] == ["team/c", "team/d", "team/a", "team/b"]


@pytest.mark.parametrize(
    ("first", "order"),
    [
        (None, ["team/a", "team/c"]),
        ("team/a", ["team/a", "team/c"]),
        ("team/b", ["team/c", "team/a"]),  # deleted since
        ("team/z", ["team/a", "team/c"]),
    ],
)
def test_a_repository_that_is_gone_gives_its_place_to_the_next(
    first: str | None, order: list[str]
) -> None:
    bucket = FakeBucket()
    registry = FakeRegistry(names=["team/c", "team/a"])
    plan({}, registry=registry, bucket=bucket, state=FakeRunState(first=first))
    assert bucket.kept[LIST] == order


@pytest.mark.parametrize("asked", [{"rerun_of": "run-1"}, {"repositories": NAMES[::-1]}])
def test_keeps_the_order_of_repositories_that_an_operator_chose(asked: object) -> None:
    bucket, state = FakeBucket(**{"run-1": NAMES[::-1]}), FakeRunState(first=NAMES[1])
    plan(asked, bucket=bucket, state=state)
    assert bucket.kept[LIST] == NAMES[::-1]
    assert state.reads == 0


def test_waits_for_a_page_that_ecr_throttles() -> None:
    registry = FakeRegistry(names=NAMES)
    registry.throttled = [EcrThrottled("any"), EcrUnavailable("any")]
    WAITS.clear()
    assert plan({}, registry=registry).repositories == 3
    assert WAITS == [1, 2]


def test_says_when_a_filter_matches_nothing_and_writes_no_list() -> None:
    bucket = FakeBucket()
    planned = plan({"repository_filter": "nobody"}, bucket=bucket)
    assert (planned.repositories, planned.list_key) == (0, None)
    assert planned.notice == "0 of 3 repositories whose names match 'nobody' from the start"
    assert planned.choice == RepositoryChoice(Selection.FILTER, "nobody", listed=3)
    assert bucket.kept == {}


def test_takes_the_repositories_that_are_named() -> None:
    bucket = FakeBucket()
    planned = plan({"repositories": ["team/prod/api", "prod/api"]}, bucket=bucket)
    assert bucket.kept == {LIST: ["team/prod/api", "prod/api"]}
    assert planned.notice == "2 repositories, as asked for"
    assert planned.choice == RepositoryChoice(Selection.REPOSITORIES, "", listed=2)
    assert plan({"repositories": ["prod/api"]}).notice == "1 repository, as asked for"


def test_refuses_a_name_that_the_registry_does_not_hold() -> None:
    bucket = FakeBucket()
    with pytest.raises(
        InvalidRescanRequest, match=r"must name repositories of this registry: .*prod/x"
    ):
        plan({"repositories": ["prod/api", "prod/x"]}, bucket=bucket)
    assert bucket.kept == {}


def test_reruns_exactly_what_did_not_finish() -> None:
    bucket = FakeBucket(**{"run-1": ["failed", "finished", "gone", "late", "unreached"]})
    records = FakeRecords(
        any_record("failed", status=RecordStatus.FAILED),
        any_record("finished"),
        any_record("gone", status=RecordStatus.GONE),
        any_record("late", status=RecordStatus.DEFERRED),
        any_record("unreached", run="run-0"),
    )
    planned = plan({"rerun_of": "run-1"}, bucket=bucket, records=records)
    assert bucket.kept[LIST] == ["failed", "late", "unreached"]
    assert planned.notice == "3 of 5 repositories did not finish in run-1"
    assert planned.choice == RepositoryChoice(Selection.RERUN, "run-1", listed=5)


def test_has_nothing_to_rerun_when_all_is_done() -> None:
    bucket = FakeBucket(**{"run-1": ["finished"]})
    planned = plan(
        {"rerun_of": "run-1"}, bucket=bucket, records=FakeRecords(any_record("finished"))
    )
    assert (planned.repositories, planned.list_key) == (0, None)


def test_refuses_to_rerun_a_run_that_nobody_knows() -> None:
    with pytest.raises(
        InvalidRescanRequest, match="rerun_of: no repository list found for run 'run-1'"
    ):
        plan({"rerun_of": "run-1"})


def test_lists_nothing_where_amazon_inspector_scans() -> None:
    bucket = FakeBucket()
    planned = plan({}, registry=FakeRegistry(scan_type="ENHANCED"), bucket=bucket)
    assert (planned.scan_type, planned.repositories, planned.list_key) == ("ENHANCED", 0, None)
    assert "No scan was started" in planned.notice
    assert planned.choice == RepositoryChoice(Selection.PARAMETER)
    assert bucket.kept == {}


def test_hands_on_the_policy_in_force() -> None:
    planned = plan({"rescan_after": "2d", "dry_run": True})
    assert planned.policy == any_policy(rescan_after=timedelta(days=2), dry_run=True)


@pytest.mark.parametrize(
    ("parameter", "repositories", "tolerated"),
    [
        ("20", 1, 100),
        ("20", 3, 34),
        ("20", 4, 25),
        ("20", 5, 20),
        ("20", 1_000, 20),
        ("0", 1_000, 1),
        ("100", 1_000, 100),
        ("20", 0, 100),
    ],
)
def test_tolerates_one_failure_however_short_the_list(
    parameter: str, repositories: int, tolerated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLERATED_FAILURE_PERCENTAGE", parameter)
    names = [f"team/{number}" for number in range(repositories)]
    assert plan({}, registry=FakeRegistry(names=names)).tolerated_failure_percentage == tolerated


@pytest.mark.parametrize("asked", [{"rerun_of": "run-1"}, {"repositories": NAMES}])
def test_stops_no_run_over_repositories_that_somebody_chose(asked: object) -> None:
    planned = plan(asked, bucket=FakeBucket(**{"run-1": NAMES}))
    assert planned.tolerated_failure_percentage == 100


def test_names_a_tolerance_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLERATED_FAILURE_PERCENTAGE", "101")
    with pytest.raises(SettingsError, match=r"ToleratedFailurePercentage must be .* 0 to 100"):
        plan({})


class Unreachable(FakeRegistry):
    def scan_type(self) -> str:
        raise EcrThrottled("any")


def test_checks_input_and_parameters_before_it_asks_ecr(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRescanRequest, match="dry_run"):
        plan({"dry_run": "yes"}, registry=Unreachable())
    monkeypatch.setenv("RESCAN_AFTER", "12h")
    with pytest.raises(SettingsError, match="RescanAfter"):
        plan({}, registry=Unreachable())


def test_leaves_throttling_to_the_state_machine() -> None:
    with pytest.raises(EcrThrottled):
        plan({}, registry=Unreachable())


def test_answers_the_state_machine_with_a_plan_and_no_names(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(module, "ecr_registry", FakeRegistry)
    monkeypatch.setattr(module, "run_bucket", lambda name: FakeBucket())
    monkeypatch.setattr(module, "run_records", lambda table: FakeRecords())
    monkeypatch.setattr(module, "run_state", lambda table: FakeRunState())
    answer = module.handler({"run": "run-2", "input": {}}, any_lambda_context())
    assert (answer["repositories"], answer["list_key"]) == (1, LIST)
    assert "team/api" not in str(answer) + log.getvalue()
