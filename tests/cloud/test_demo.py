"""`make demo` shows what it promises, on the registry that comes with it."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.cloud.interpreters import REPOSITORY, local_cloud_python
from local.demo.demo import DEMO_REGISTRY
from local.demo.messages import CHANNELS
from local.demo.run import OUTCOMES
from local.demo.tour import REPORT
from local.registry import registry_file
from reporting.reports import Reason

RUN_TIMEOUT_SECONDS = 1000  # a tenth of it on two calm cores; shorter than the timeout of pytest


def demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(local_cloud_python()), "-m", "local.demo", *options],
        cwd=REPOSITORY,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Run the shipped demo once: what it printed, and what it wrote."""
    path = tmp_path_factory.mktemp("demo") / "demo.json"
    result = demo("--tour", "--json", str(path))
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, json.loads(path.read_text())


class TestShippedDemo:
    def test_shows_every_outcome(self, shipped: tuple[str, dict[str, Any]]) -> None:
        _, document = shipped

        assert document["runs"][0]["outcomes"].keys() == set(OUTCOMES) - {"DUE"}

    def test_decides_every_image_once(self, shipped: tuple[str, dict[str, Any]]) -> None:
        registry = registry_file.load(REPOSITORY / DEMO_REGISTRY)
        decided = shipped[1]["runs"][0]["images"]

        for repository in registry.repositories.values():
            assert decided.get(repository.name, {}).keys() == repository.images.keys()

    def test_reruns_the_one_repository_that_failed(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        first, rerun, *_ = shipped[1]["runs"]
        statuses = {name: of["status"] for name, of in first["repositories"].items()}
        failed = [name for name, status in statuses.items() if status == "FAILED"]

        assert len(failed) == 1
        assert first["error"] == "RescanIncomplete"
        assert rerun["input"] == {"rerun_of": first["execution_name"]}
        assert list(rerun["repositories"]) == failed
        assert rerun["status"] == "SUCCEEDED"

    def test_retries_what_is_throttled(self, shipped: tuple[str, dict[str, Any]]) -> None:
        first = shipped[1]["runs"][0]

        assert first["throttled_calls"]["StartImageScan"] > 0
        assert first["outcomes"]["FAILED"] == 1

    def test_ecr_sends_an_event_for_every_scan(self, shipped: tuple[str, dict[str, Any]]) -> None:
        scans = shipped[1]["scans"]

        assert scans["events_sent"] == scans["started"] > 0

    def test_starts_an_execution_for_every_event_that_a_rule_matches(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        notified = shipped[1]["notifications"]
        taken = notified["scan_events"]["COMPLETE"] + notified["scan_events"]["FAILED"]

        # Each of four runs has a summary, and the first one failed.
        assert notified["executions"] == taken + 5
        assert (
            sum(notified["notified"].values()) + sum(notified["not_notified"].values()) == taken + 5
        )
        assert notified["executions_failed"] == 0

    def test_sends_digests_of_what_can_wait_and_everything_to_machines(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        notified = shipped[1]["notifications"]
        sent = sum(notified["notified"].values())

        assert notified["notified"][Reason.FAILED] == 1
        assert notified["notified"][Reason.RUN_NOT_FINISHED] == 1
        assert notified["notified"][Reason.RUN_FINISHED] == 3
        assert notified["messages"].keys() == set(CHANNELS)
        machines = {"webhook", "events"}
        assert [notified["messages"][channel] for channel in machines] == [sent, sent]
        # Four runs, the baseline, the new critical vulnerability, and the digest of that week.
        assert notified["digests"] == 2
        others = {*CHANNELS} - machines - {"pagerduty"}
        assert {notified["messages"][channel] for channel in others} == {7}
        # The run that did not finish, its end in three runs, and the new critical vulnerability.
        assert notified["messages"]["pagerduty"] == 5

    def test_says_why_no_notification_is_sent(self, shipped: tuple[str, dict[str, Any]]) -> None:
        others = shipped[1]["notifications"]["not_notified"]

        assert others.keys() == {
            Reason.NOTHING_ABOVE_THRESHOLD,
            Reason.RUN_REPORTED_ALREADY,
            Reason.UNCHANGED,
        }
        assert others[Reason.NOTHING_ABOVE_THRESHOLD] > 0

    def test_sends_nothing_a_week_later_and_then_the_difference(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        text, document = shipped
        unchanged, changed = (run["outcomes"]["STARTED"] for run in document["runs"][2:])

        assert unchanged == changed == 8
        assert (
            "Notifications were sent for 0 of 8 scans. "
            "No notification was sent for 8: unchanged (8)."
        ) in " ".join(text.split())
        assert "Notifications were sent for 2 of 8 scans" in text
        assert "1 new critical vulnerability in payments/ledger:r6; 1 fixed" in text
        assert "CVE-2026-31337 critical · openssl 3.0.11-1" in text
        assert document["notifications"]["notified"][Reason.WORSE] == 1
        assert document["notifications"]["notified"][Reason.CLEARED] == 1

    def test_retries_a_message_that_a_receiver_refused(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        notified = shipped[1]["notifications"]

        assert notified["refused"] == {"teams": 1}
        assert notified["undelivered"] == 0

    def test_shows_two_messages_and_writes_the_page_of_all(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        text, document = shipped
        page = (REPOSITORY / ".demo" / "inbox.html").read_text()

        assert "The worst scan, as Slack shows it:" in text
        assert "Subject: ECR rescan incomplete: 1 of 10 repositories did not finish" in text
        assert re.search(r"Subject: ECR baseline: \d+ images above a threshold, \d+ with", text)
        assert '{"rerun_of": "demo-1"}' in text
        for channel in document["notifications"]["messages"]:
            assert f'id="{channel}"' in page
        assert "undrawn" not in page.partition("<body>")[2]
        # New and cleared images are in the digests.
        assert re.findall(r'class="story (\w+)"', page) == ["worse", "run", "digest"]
        *_, closing = text.rstrip().split("\n\n")
        assert closing.startswith("Open .demo/inbox.html in a browser")

    def test_runs_every_command_that_needs_no_build(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        codes = Counter((ran["command"].split()[1], ran["code"]) for ran in shipped[1]["commands"])

        assert {command for command, _ in codes} == {
            *("accept", "check-risks", "digest", "doctor", "plan", "report", "rerun", "run"),
            *("status", "test", "undelivered", "why"),
        }
        # All is well but while Slack is broken: a test that it refuses, and a message that waits.
        # The findings of some images have no names, so that a vulnerability is not searched there.
        assert {answer: count for answer, count in codes.items() if answer[1]} == {
            ("test", 1): 1,
            ("doctor", 1): 1,
            ("report", 4): 1,
        }
        assert not any("Traceback" in ran["err"] for ran in shipped[1]["commands"])

    def test_reports_every_image_of_the_registry(self, shipped: tuple[str, dict[str, Any]]) -> None:
        registry = registry_file.load(REPOSITORY / DEMO_REGISTRY)
        images = sum(len(repository.images) for repository in registry.repositories.values())
        found = re.search(r"(\d+) of (\d+) images have open critical", shipped[0])
        page = (REPOSITORY / REPORT).read_text()

        assert found
        assert int(found[2]) == images
        assert f'<em class="critical">{found[1]} images</em>' in page

    def test_sends_what_a_broken_channel_has_not_taken(
        self, shipped: tuple[str, dict[str, Any]]
    ) -> None:
        by_command = {ran["command"]: ran["out"] for ran in shipped[1]["commands"]}

        assert "1 is kept, for 14 days each." in by_command["ecr-rescan undelivered"]
        assert "1 delivered." in by_command["ecr-rescan undelivered send"]

    def test_counts_the_largest_history(self, shipped: tuple[str, dict[str, Any]]) -> None:
        first = shipped[1]["runs"][0]

        assert first["history_events"]["largest_of"] == "shop/api"
        assert first["history_events"]["largest"] > first["history_events"]["run"] > 0
        assert 0 < first["largest_payload_bytes"] < 256 * 1024

    def test_is_calm_outside_a_terminal(self, shipped: tuple[str, dict[str, Any]]) -> None:
        text, _ = shipped

        assert "\x1b" not in text
        assert "\r" not in text


def test_notifies_of_a_filter_that_matches_nothing_with_the_oldest_sdk(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    result = demo(
        *("--registry", "local/demo/registries/nothing.yaml", "--json", str(path)),
        LAMBDA_RUNTIME_PYTHON=str(REPOSITORY / ".venvs/oldest-sdk/bin/python"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(path.read_text())
    (run,) = document["runs"]
    assert (run["status"], run["error"]) == ("FAILED", "RescanIncomplete")
    assert run["repositories"] == {}
    assert document["notifications"]["messages"]["slack"] == 1


def test_refuses_a_wrong_registry_without_starting_anything(tmp_path: Path) -> None:
    wrong = tmp_path / "mine.yaml"
    wrong.write_text("repositories:\n  - name: Team\n")

    result = demo("--registry", str(wrong))

    assert result.returncode == 2
    assert "mine.yaml, line 2" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_refuses_an_input_that_is_not_json() -> None:
    result = demo("--input", "{rerun_of: x}")

    assert result.returncode == 2
    assert "--input {rerun_of: x} is not JSON" in result.stderr
    assert "Traceback" not in result.stderr
