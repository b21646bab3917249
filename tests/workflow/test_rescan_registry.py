"""RescanRegistry, the real definition and the real handlers: what an operator sees happen."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from ledger.run_records import RecordStatus
from local.registry.simulated_registry import SimulatedRegistry
from own_events.event_bus import EventBus, EventRefused
from tests.support.engine import DEADLINE, Execution
from tests.workflow.conftest import Deploy

FRESH = {"tags": "fresh", "scanned": "1d"}
OLD = {"tags": "old", "scanned": "8d"}
DENIED = {"operation": "DescribeImages", "error": "AccessDeniedException"}


def repository(name: str, *images: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "images": list(images or (FRESH, OLD)), **more}


def registry(*repositories: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"repositories": list(repositories), **settings}


def summary_of(execution: Execution) -> dict[str, Any]:
    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.output is not None
    return execution.output


def started(simulated: SimulatedRegistry) -> dict[str, int]:
    """Count the scans that ECR accepted, by repository."""
    counts: dict[str, int] = {}
    for (name, _), times in simulated.started.items():
        counts[name] = counts.get(name, 0) + times
    return counts


def message_of(execution: Execution) -> str:
    assert execution.status == "FAILED"
    assert execution.cause is not None
    return str(json.loads(execution.cause)["errorMessage"])


def test_starts_a_scan_of_every_image_that_is_due_and_of_no_other(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/web")))
    summary = summary_of(deployed.run())
    assert summary["images"] == {"FRESH": 2, "STARTED": 2}
    assert summary["status"] == "FINISHED"
    assert summary["rerun"] is None
    assert started(deployed.registry) == {"team/api": 1, "team/web": 1}


def test_comes_to_every_outcome(deploy: Deploy) -> None:
    deployed = deploy(
        registry(
            repository(
                "team/api",
                FRESH,
                OLD,
                {"tags": "recent", "scanned": "5h", "last_result": "failed"},
                {"tags": "index", "kind": "index", "scanned": "8d", "signed": True},
                {"tags": "scratch", "scanned": "8d", "last_result": "unsupported"},
                {"tags": "attic", "archived": "3d", "scanned": "8d"},
                {"tags": "cache-1", "scanned": "8d"},
                {"tags": "vanishing", "scanned": "15d", "vanishes": True},
                {
                    "tags": "broken",
                    "scanned": "20d",
                    "faults": [
                        {"operation": "StartImageScan", "error": "InvalidParameterException"}
                    ],
                },
            ),
            repository("team/busy", {"tags": "b{n}", "count": 5, "scanned": "8d"}),
        ),
        ExcludeTagPattern="cache-",
        MaxScansPerRepository="4",
    )
    execution = deployed.run()
    assert execution.error == "RescanIncomplete"
    records = deployed.records(execution.name)
    found = {outcome for record in records.values() for outcome in record.images}
    assert found == {
        *("STARTED", "FRESH", "RECENT", "UNSCANNABLE", "UNSUPPORTED", "ARCHIVED", "EXCLUDED"),
        *("GONE", "DEFERRED", "FAILED"),
    }
    assert records["team/api"].images["FAILED"] == {"InvalidParameterException": 1}


def test_asks_ecr_no_more_than_it_must(deploy: Deploy) -> None:
    deployed = deploy(
        registry(
            {"name": "other/{n}", "count": 2_001, "images": []},
            repository(
                "prod/large",
                {"tags": "old-{n}", "count": 30, "scanned": "8d"},
                {"tags": "fresh-{n}", "count": 71, "scanned": "1d"},
                {"tags": "chart-{n}", "count": 1_900, "kind": "helm"},
            ),
            repository("prod/small", FRESH, OLD),
        )
    )
    summary = summary_of(deployed.run({"repository_filter": "prod/"}))
    scannable, due = 30 + 71 + 2, 30 + 1
    assert deployed.registry.calls == {
        "GetRegistryScanningConfiguration": 1,
        "DescribeRepositories": 3,  # 2,003 repositories
        "DescribeImages": 3 + 1,  # 2,001 and 2 images
        "DescribeImageScanFindings": scannable,
        "StartImageScan": due,
    }
    assert summary["images"] == {"FRESH": 72, "STARTED": due, "UNSCANNABLE": 1_900}


def test_retries_what_ecr_throttles_until_every_scan_is_started_once(deploy: Deploy) -> None:
    deployed = deploy(
        registry(
            *(
                repository(f"team/{n}", {"tags": "v{n}", "count": 15, "scanned": "8d"})
                for n in "ab"
            ),
            throttling={"StartImageScan": {"rate": 2, "burst": 4}},
        )
    )
    summary = summary_of(deployed.run())
    throttled = deployed.registry.throttled["StartImageScan"]
    assert throttled > 0
    assert summary["images"] == {"STARTED": 30}
    assert set(deployed.registry.started.values()) == {1}
    assert deployed.registry.calls["StartImageScan"] == 30 + throttled
    assert throttled < 2 * 30  # the rate is learnt from ten times of it
    assert deployed.backoffs == []  # the function waits for the next turn of its calls


def test_gets_to_the_end_though_ecr_throttles_every_read(deploy: Deploy) -> None:
    slow = {"rate": 1, "burst": 3}
    deployed = deploy(
        registry(
            repository("team/api", {"tags": "v{n}", "count": 25, "scanned": "8d"}),
            throttling={
                "DescribeRepositories": slow,
                "DescribeImages": slow,
                "DescribeImageScanFindings": slow,
            },
        )
    )
    summary = summary_of(deployed.run())
    assert summary["images"] == {"STARTED": 25}
    assert deployed.registry.throttled["DescribeImageScanFindings"] > 0
    answered = (
        deployed.registry.calls["DescribeImageScanFindings"]
        - deployed.registry.throttled["DescribeImageScanFindings"]
    )
    assert answered == 25
    assert deployed.registry.calls["DescribeImages"] == 1


def test_does_not_retry_the_rule_of_one_scan_in_24_hours(deploy: Deploy) -> None:
    recent = {"tags": "v{n}", "count": 3, "scanned": "5h", "last_result": "failed"}
    deployed = deploy(registry(repository("team/api", recent)))
    assert summary_of(deployed.run())["images"] == {"RECENT": 3}
    assert deployed.registry.calls["StartImageScan"] == 3
    assert deployed.backoffs == []


def test_lets_one_bad_image_stop_no_other(deploy: Deploy) -> None:
    bad = {
        "tags": "bad",
        "scanned": "20d",
        "faults": [
            {"operation": "StartImageScan", "error": "KmsException", "message": "key/1 is disabled"}
        ],
    }
    old = {"tags": "v{n}", "count": 4, "scanned": "8d"}
    deployed = deploy(registry(repository("team/api", bad, old), repository("team/web")))
    execution = deployed.run()
    assert (execution.status, execution.error) == ("FAILED", "RescanIncomplete")
    record = deployed.records(execution.name)["team/api"]
    assert record.images == {"FAILED": {"KmsException": 1}, "STARTED": {"accepted": 4}}
    assert record.problem().startswith(
        "ImageScansFailed: 1 of 5 images could not be scanned: 1 KmsException; "
    )
    assert "key/1 is disabled" in record.problem()
    assert started(deployed.registry) == {"team/api": 4, "team/web": 1}


def test_defers_an_image_that_is_throttled_again_and_again(deploy: Deploy) -> None:
    throttled = {
        "tags": "bad",
        "scanned": "20d",
        "faults": [{"operation": "StartImageScan", "error": "ThrottlingException"}],
    }
    deployed = deploy(registry(repository("team/api", throttled, OLD)))
    execution = deployed.run()
    assert execution.status == "SUCCEEDED", execution.cause
    record = deployed.records(execution.name)["team/api"]
    assert record.images == {"DEFERRED": {"ECR throttles": 1}, "STARTED": {"accepted": 1}}
    limits = [2, 4, 8, 16, 32, *[60] * 10]
    assert len(deployed.backoffs) == len(limits)
    assert all(0 <= delay <= limit for delay, limit in zip(deployed.backoffs, limits, strict=True))


def test_defers_what_ecr_throttles_to_the_last_and_starts_the_rest(deploy: Deploy) -> None:
    throttled = [{"operation": "StartImageScan", "error": "ThrottlingException"}]
    first = {"tags": "oldest", "scanned": "90d", "faults": throttled}
    deployed = deploy(
        registry(repository("team/api", first, {"tags": "v{n}", "count": 59, "scanned": "8d"}))
    )
    execution = deployed.run()
    assert execution.status == "SUCCEEDED", execution.cause
    record = deployed.records(execution.name)["team/api"]
    assert record.images == {"STARTED": {"accepted": 59}, "DEFERRED": {"ECR throttles": 1}}


@pytest.mark.parametrize(
    ("operation", "status", "images"),
    [
        ("DescribeImages", RecordStatus.DEFERRED, {}),
        (
            "DescribeImageScanFindings",
            RecordStatus.FINISHED,
            {"DEFERRED": {"ECR throttles": 2}},
        ),
    ],
)
def test_defers_what_ecr_does_not_let_it_read(
    operation: str, status: RecordStatus, images: dict[str, dict[str, int]], deploy: Deploy
) -> None:
    throttled = [{"operation": operation, "error": "ThrottlingException"}]
    deployed = deploy(registry(repository("team/api", faults=throttled), repository("team/web")))
    execution = deployed.run()
    records = deployed.records(execution.name)
    assert (records["team/api"].status, records["team/api"].images) == (status, images)
    assert records["team/web"].images == {
        "FRESH": {"scanned within RescanAfter": 1},
        "STARTED": {"accepted": 1},
    }
    assert len(deployed.backoffs) == 15


def test_records_a_repository_that_fails_and_works_on_the_others(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/web", faults=[DENIED])))
    execution = deployed.run()
    records = deployed.records(execution.name)
    assert records["team/api"].is_done
    assert not records["team/web"].is_done
    assert records["team/web"].error == "AccessDenied"
    assert "DescribeImages of team/web" in records["team/web"].problem()
    assert started(deployed.registry) == {"team/api": 1}
    assert "RepositoryFailed" in [
        event["stateEnteredEventDetails"]["name"]
        for event in execution.child("team/web").events
        if "stateEnteredEventDetails" in event
    ]


def test_ends_with_the_input_that_reruns_only_what_failed(deploy: Deploy) -> None:
    once = [{**DENIED, "times": 1}]
    deployed = deploy(
        registry(
            repository("team/api"),
            repository("team/web", faults=once),
            repository("team/app", faults=once),
        )
    )
    failed = deployed.run()
    assert failed.error == "RescanIncomplete"
    assert failed.cause is not None
    assert failed.cause.startswith("2 of 3 repositories did not finish: team/app (AccessDenied: ")
    rerun = json.loads(failed.cause[failed.cause.index('{"rerun_of"') :])
    assert rerun == {"rerun_of": failed.name}

    summary = summary_of(deployed.run(rerun))
    assert summary["repositories"] == 2
    assert deployed.document(f"runs/{summary['run']}/repositories.json") == ["team/app", "team/web"]
    assert started(deployed.registry) == {"team/api": 1, "team/app": 1, "team/web": 1}


def test_tells_step_functions_which_share_of_failures_is_tolerated(deploy: Deploy) -> None:
    """moto knows the number, and stops no Map Run."""
    denied = [repository(f"team/{name}", faults=[DENIED]) for name in "abc"]
    deployed = deploy(registry(*denied))
    started = deployed.start(name="of-all")
    assert deployed.wait(started).error == "RescanIncomplete"
    assert deployed.tolerated_failure_percentage(started) == 34
    rerun = deployed.start({"rerun_of": "of-all"})
    assert deployed.wait(rerun).error == "RescanIncomplete"
    assert deployed.tolerated_failure_percentage(rerun) == 100


def test_has_nothing_to_rerun_of_a_run_that_finished(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api")))
    finished = deployed.run()
    execution = deployed.run({"rerun_of": finished.name})
    assert execution.states == [
        "ListRepositories",
        "IsRescanPossible",
        "SummarizeRescan",
        "IsEveryRepositoryDone",
        "RescanFinished",
    ]
    conclusion = summary_of(execution)["conclusion"]
    assert conclusion == f"Every repository of the run {finished.name} is done, 1 in all."
    assert deployed.registry.calls["DescribeImages"] == 1


def test_refuses_to_rerun_a_run_that_never_was(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api")))
    execution = deployed.run({"rerun_of": "no-such-run"})
    assert execution.error == "InvalidRescanRequest"
    assert "no repository list found for run 'no-such-run'" in message_of(execution)


def test_reruns_what_a_stopped_run_did_not_reach(deploy: Deploy) -> None:
    deployed = deploy(
        registry(*(repository(f"team/{name}") for name in "abcd")), MaxConcurrency="2"
    )
    reached, release = threading.Event(), threading.Event()

    def hold_up(payload: dict[str, Any]) -> None:
        if payload["repository"] == "team/b":
            reached.set()
            assert release.wait(DEADLINE), "the run was never stopped"

    deployed.faults["RecordRepository"] = hold_up
    arn = deployed.start(name="stopped")
    assert reached.wait(DEADLINE), "team/b was never recorded"
    deployed.stop(arn)
    release.set()
    assert deployed.wait(arn).status == "ABORTED"
    deployed.faults.clear()
    done = set(deployed.records("stopped"))
    assert done < {"team/a", "team/b", "team/c", "team/d"}

    summary = summary_of(deployed.run({"rerun_of": "stopped"}))
    assert summary["repositories"] == 4 - len(done)
    assert set(deployed.registry.started.values()) == {1}
    assert set(started(deployed.registry)) == {"team/a", "team/b", "team/c", "team/d"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"repos": ["team/api"]}, "Unknown key 'repos' in the execution input"),
        ({"repository_filter": "("}, "repository_filter must be a regular expression"),
        ({"rescan_after": "weekly"}, "rescan_after must be a duration such as 7d"),
        ({"rescan_after": "12h"}, "rescan_after must be at least 24h"),
        ({"repositories": ["team/nope"]}, "'team/nope' does not exist"),
        ([], "must be a JSON object"),
    ],
)
def test_refuses_bad_input_at_once_and_says_what_is_accepted(
    asked: object, said: str, deploy: Deploy
) -> None:
    deployed = deploy(registry(repository("team/api")))
    execution = deployed.run(asked)
    assert (execution.status, execution.error) == ("FAILED", "InvalidRescanRequest")
    assert said in message_of(execution)
    assert deployed.invocations == {"ListRepositories": 1}
    assert deployed.registry.calls["StartImageScan"] == 0


def test_says_that_an_empty_registry_has_nothing_to_rescan(deploy: Deploy) -> None:
    deployed = deploy({"repositories": []})
    execution = deployed.run()
    assert execution.states[-1] == "RescanFinished"
    assert summary_of(execution)["conclusion"] == "The registry has no repositories."
    assert deployed.document(summary_of(execution)["summary_key"])["repositories"] == 0


def test_fails_once_when_no_name_matches_the_filter(deploy: Deploy) -> None:
    """The alarm RunEndedEarlyAlarm counts failed executions."""
    deployed = deploy(registry(repository("team/prod/api")), RepositoryFilter="prod/")
    execution = deployed.run()
    assert (execution.error, execution.states[-1]) == ("RescanIncomplete", "RescanIncomplete")
    assert execution.cause == (
        "No repository name matches the filter 'prod/' from the start: 0 of 1 repository. "
        "This is the first run. Check the parameter RepositoryFilter."
    )
    again = deployed.run()
    assert summary_of(again)["change"] == "UNCHANGED"
    assert summary_of(again)["conclusion"].startswith("No repository name matches the filter")
    # None of these tells the next run anything, and none of them fails.
    for asked in ({"repositories": ["team/prod/api"]}, {"dry_run": True}):
        assert summary_of(deployed.run(asked))["change"] is None
    assert summary_of(deployed.run())["change"] == "UNCHANGED"


def test_fails_when_the_repositories_of_the_run_before_are_gone(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api")))
    assert summary_of(deployed.run())["change"] == "UNCHANGED"
    typed = deployed.run({"repository_filter": "prdo/"})
    assert (typed.cause or "").endswith(
        "The run before had 1. Check repository_filter in the input of the run."
    )
    assert summary_of(deployed.run())["change"] == "UNCHANGED"


def test_another_attempt_of_the_summary_still_finds_the_problem(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/prod/api")), RepositoryFilter="prod/")
    refusals = iter([EventRefused("any"), type("Sandbox.Timedout", (Exception,), {})("killed")])

    def refuse(_: object) -> None:
        if refusal := next(refusals, None):
            raise refusal

    put = EventBus.put
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventBus, "put", lambda *given, **named: (refuse(0), put(*given, **named)))
        assert "Check the parameter RepositoryFilter" in (deployed.run().cause or "")
    assert deployed.invocations["SummarizeRescan"] == 3


def test_starts_nothing_in_an_enhanced_registry(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), scanning="ENHANCED"))
    execution = deployed.run()
    assert execution.states[-1] == "RescanFinished"
    assert "Amazon Inspector rescans its images" in summary_of(execution)["conclusion"]
    assert deployed.registry.calls == {"GetRegistryScanningConfiguration": 1}
    assert summary_of(execution)["change"] == "ENHANCED_SCANNING"
    assert summary_of(deployed.run())["change"] == "UNCHANGED"


def test_accepts_the_input_that_the_console_prefills(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api")))
    asked = {"Comment": "Insert your JSON here"}
    assert summary_of(deployed.run(asked))["images"] == {"FRESH": 1, "STARTED": 1}


def test_decides_everything_and_starts_nothing_in_a_dry_run(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/web")))
    summary = summary_of(deployed.run({"dry_run": True}))
    assert summary["dry_run"] is True
    assert summary["images"] == {"DUE": 2, "FRESH": 2}
    assert deployed.registry.calls["StartImageScan"] == 0


def test_takes_only_the_repositories_asked_for(deploy: Deploy) -> None:
    deployed = deploy(registry(*(repository(f"team/{name}") for name in "abc")))
    summary_of(deployed.run({"repositories": ["team/c", "team/a"]}))
    assert started(deployed.registry) == {"team/a": 1, "team/c": 1}


def test_treats_a_repository_deleted_meanwhile_as_done(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/gone", vanishes=True)))
    execution = deployed.run()
    assert summary_of(execution)["status"] == "FINISHED"
    assert deployed.records(execution.name)["team/gone"].status == "GONE"


def test_starts_the_oldest_scans_first_and_defers_what_is_beyond_the_budget(deploy: Deploy) -> None:
    images = [{"tags": f"v{age}", "scanned": f"{age}d"} for age in (20, 9, 30, 12, 25)]
    deployed = deploy(
        registry(repository("team/api", *images, {"tags": "new"})), MaxScansPerRepository="3"
    )
    summary = summary_of(deployed.run())
    assert summary["images"] == {"DEFERRED": 3, "STARTED": 3}
    repository_now = deployed.registry.repositories["team/api"]
    tags = {repository_now.images[digest].tags[0] for (_, digest) in deployed.registry.started}
    assert tags == {"new", "v30", "v25"}


def test_defers_what_the_daily_quota_of_the_registry_leaves_over(deploy: Deploy) -> None:
    old = {"tags": "v{n}", "count": 150, "scanned": "8d"}
    deployed = deploy(registry(repository("team/api", old), scans_per_day=20))
    execution = deployed.run()
    assert summary_of(execution)["images"] == {"DEFERRED": 130, "STARTED": 20}
    # The batches that are under way find out, and nothing else is tried.
    assert deployed.registry.calls["StartImageScan"] <= 20 + 3 * 16
    record = deployed.records(execution.name)["team/api"]
    assert record.images["DEFERRED"] == {"registry scan quota": 130}


def test_retries_a_slice_that_ecr_could_not_answer(deploy: Deploy) -> None:
    flaky = [{"operation": "DescribeImages", "error": "ServerException", "times": 2}]
    deployed = deploy(registry(repository("team/api", faults=flaky)))
    assert summary_of(deployed.run())["images"] == {"FRESH": 1, "STARTED": 1}
    assert len(deployed.backoffs) == 2


def test_records_the_failure_when_the_record_could_not_be_written_by_its_function(
    deploy: Deploy,
) -> None:
    deployed = deploy(registry(repository("team/api")))

    def fail(_: object) -> None:
        raise RuntimeError("no table today")

    deployed.faults["RecordRepository"] = fail
    execution = deployed.run()
    assert execution.error == "RescanIncomplete"
    record = deployed.records(execution.name)["team/api"]
    assert record.problem() == "RuntimeError: no table today"


def test_writes_the_summary_and_tells_that_the_run_is_over(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/web", faults=[DENIED])))
    execution = deployed.run()
    summary = deployed.document(f"runs/{execution.name}/summary.json")
    assert summary["status"] == "INCOMPLETE"
    assert summary["images"] == {
        "counts": {"FRESH": {"scanned within RescanAfter": 1}, "STARTED": {"accepted": 1}}
    }
    assert summary["rerun"] == {"rerun_of": execution.name}
    (entry,) = deployed.receivers.events_put
    assert (entry["Source"], entry["DetailType"]) == ("ecr-rescan", "Rescan Finished")
    detail = json.loads(entry["Detail"])
    assert detail["images"] == {"FRESH": 1, "STARTED": 1}
    assert [problem["repository"] for problem in detail["problems"]] == ["team/web"]


def test_carries_the_policy_in_force_to_every_child(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api", {"tags": "v1", "scanned": "3d"})))
    assert summary_of(deployed.run())["images"] == {"FRESH": 1}
    assert summary_of(deployed.run({"rescan_after": "2d"}))["images"] == {"STARTED": 1}


def test_starts_each_image_again_only_when_it_is_due_again(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api", {"tags": "v1", "scanned": "8d"})))
    runs = []
    for _ in range(10):
        runs.append(summary_of(deployed.run())["images"])
        deployed.clock.move(timedelta(days=1))
    days = [day for day, images in enumerate(runs) if images == {"STARTED": 1}]
    # A scan ends a few seconds after it was started, so on day 8 it would be too old.
    assert days == [0, 7]


def test_tells_again_when_eventbridge_refuses_the_event(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = deploy(registry(repository("team/api")))
    refusals = iter([EventRefused("Rescan Finished: InternalFailure: try again")])
    put = EventBus.put

    def refuse_once(bus: EventBus, *event: Any, **more: Any) -> None:
        if refusal := next(refusals, None):
            raise refusal
        put(bus, *event, **more)

    monkeypatch.setattr(EventBus, "put", refuse_once)
    summary_of(deployed.run())
    assert len(deployed.receivers.events_put) == 1
    assert len(deployed.backoffs) == 1


def test_looks_at_the_whole_registry_when_the_filter_is_emptied_by_hand(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api")), RepositoryFilter="prod/")
    assert summary_of(deployed.run({"repository_filter": ""}))["repositories"] == 1


def test_defers_the_repositories_for_which_the_run_has_no_time(deploy: Deploy) -> None:
    deployed = deploy(registry(repository("team/api"), repository("team/web")), MaxConcurrency="1")

    def take_long(payload: dict[str, Any]) -> None:
        if payload["repository"] == "team/api":
            deployed.clock.move(timedelta(hours=5, minutes=50))

    deployed.faults["RecordRepository"] = take_long
    execution = deployed.run()
    assert summary_of(execution)["repositories_deferred"] == 1
    records = deployed.records(execution.name)
    assert records["team/api"].status is RecordStatus.FINISHED
    assert (records["team/web"].status, records["team/web"].images) == (RecordStatus.DEFERRED, {})

    deployed.faults.clear()
    again = deployed.run()
    assert deployed.document(f"runs/{again.name}/repositories.json") == ["team/web", "team/api"]
