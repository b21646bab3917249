"""`make who-has` on a table of moto's, and what an operator reads."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from ledger.affected_images import AffectedFinding, AffectedImage, AffectedImages
from ledger.errors import LedgerUnavailable
from operations import who_has
from operations.who_has import image_name, is_live, main
from tests.support.builders import days_ago
from tests.support.clock import NOW

CVE = "CVE-2026-31337"
DAY = timedelta(days=1)
FINDING = AffectedFinding(
    CVE, "openssl", "CRITICAL", "3.0.11", date(2026, 3, 3), is_seen_later=False, is_accepted=False
)
IMAGE = AffectedImage(
    "team/api",
    "sha256:" + "9b" * 32,
    (FINDING,),
    tags=("v1",),
    scanned_at=days_ago(3),
    scan_type="BASIC",
    notified_at=days_ago(2),
)


class FakeCloudFormation:
    """Knows one stack, ecr-rescan."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._stack = stack

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        assert StackName == "ecr-rescan"
        return {"Stacks": [self._stack]}


STACK = {
    "Outputs": [{"OutputKey": "LedgerTableName", "OutputValue": "ledger-table"}],
    "Parameters": [
        {"ParameterKey": "HighThreshold", "ParameterValue": "0"},
        {"ParameterKey": "RescanAfter", "ParameterValue": "7d"},
    ],
}
type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("runtime.clock.now", lambda: NOW)

    def run(
        *images: AffectedImage,
        unreadable: tuple[str, ...] = (),
        stack: dict[str, Any] = STACK,
        error: Exception | None = None,
    ) -> tuple[int, str, str]:
        def client(service: str) -> Any:
            return FakeCloudFormation(stack) if service == "cloudformation" else object()

        def affected_images(_table: object, name: str) -> AffectedImages:
            assert name == CVE
            if error:
                raise error
            return AffectedImages(images, searched=1_204, unreadable=unreadable, read_units=64.5)

        monkeypatch.setattr(who_has.boto3, "client", client)
        monkeypatch.setattr(who_has, "affected_images", affected_images)
        code = main([CVE])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_lists_the_worst_first_and_says_what_was_read(run: Run) -> None:
    high = replace(FINDING, severity="HIGH", package="libssl3", version="", is_seen_later=True)
    accepted = replace(IMAGE, repository="team/web", findings=(replace(high, is_accepted=True),))
    open_ = replace(IMAGE, tags=("v1", "latest"), has_incident=True)
    code, out, err = run(accepted, open_)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "severity image package first seen notified remarks",
        "CRITICAL team/api:v1 +1 openssl 3.0.11 2026-03-03 2026-03-12 incident open",
        "HIGH team/web:v1 libssl3 by 2026-03-03 2026-03-12 accepted",
        "CVE-2026-31337 is in 2 images of 2 repositories. "
        "1,204 searched, with 64.5 read request units.",
    ]


def test_lists_apart_what_was_not_scanned_lately(run: Run) -> None:
    old = replace(IMAGE, repository="team/old", scanned_at=days_ago(15))
    unknown = replace(IMAGE, repository="team/unknown", scanned_at=None, notified_at=None)
    code, out, _ = run(IMAGE, old, unknown)
    live, _, others = out.partition("Not scanned lately, perhaps deleted:")
    assert code == 0
    assert "team/api" in live
    assert "team/old" in others
    assert "last scan unknown" in others
    assert "is in 1 image of 1 repository, and in 2 not scanned lately." in others


def test_finds_nothing(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("CVE-2026-31337 is in 0 images of 0 repositories. 1,204 searched")


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;x\x07", "\u202egpj.exe", "[bold red]", "a\nb"])
def test_shows_names_as_text_that_does_nothing_to_the_terminal(run: Run, hostile: str) -> None:
    finding = replace(FINDING, package=hostile, version=hostile)
    image = replace(IMAGE, tags=(hostile,), findings=(finding,))
    _, out, err = run(image, unreadable=(f"team/{hostile}@sha256:1",))
    shown = (out + err).replace("\n", "")
    assert shown.isprintable()
    assert "\u202e" not in shown
    assert len(out.splitlines()) == 3
    if hostile.startswith("[bold"):
        assert shown.count(hostile) == 4


def test_names_images_that_cannot_be_read(run: Run) -> None:
    code, _, err = run(unreadable=("team/web@sha256:1",))
    assert (code, err) == (0, "The findings of team/web@sha256:1 cannot be read.\n")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"stack": {"Parameters": []}}, "The stack ecr-rescan has no output 'LedgerTableName'."),
        ({"stack": STACK | {"Parameters": []}}, "The stack ecr-rescan has no parameter 'Resc"),
        ({"error": LedgerUnavailable("no table today")}, "no table today"),
    ],
)
def test_says_why_it_cannot_answer(run: Run, given: dict[str, Any], complaint: str) -> None:
    code, out, err = run(**given)
    assert (code, out) == (1, "")
    assert err.startswith(complaint)


@pytest.mark.parametrize(
    ("image", "live"),
    [
        (replace(IMAGE, scanned_at=days_ago(14)), True),
        (replace(IMAGE, scanned_at=days_ago(14) - timedelta(seconds=1)), False),
        (replace(IMAGE, scanned_at=None), False),
        (replace(IMAGE, scan_type="ENHANCED", scanned_at=days_ago(90)), True),
        (replace(IMAGE, scan_type="ENHANCED", is_monitored=False), False),
    ],
)
def test_an_image_is_live_while_it_is_scanned_or_monitored(
    image: AffectedImage, live: bool
) -> None:
    assert is_live(image, 7 * DAY, NOW) == live


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "team/api:v1"),
        ({"tags": ("v1", "a", "b")}, "team/api:v1 +2"),
        ({"tags": ("latest", "v1.4.2")}, "team/api:v1.4.2 +1"),
        ({"tags": ("latest",)}, "team/api:latest"),
        ({"tags": ("latest", "v1"), "platform": "linux/arm64"}, "team/api:v1 (linux/arm64) +1"),
        ({"scanned_at": None, "scan_type": None}, "team/api:v1"),
        ({"tags": ()}, "team/api@sha256:9b9b9b9b9b9b"),
        ({"platform": "linux/arm64"}, "team/api:v1 (linux/arm64)"),
    ],
)
def test_names_an_image(given: dict[str, Any], name: str) -> None:
    assert image_name(replace(IMAGE, **given)) == name


def test_says_that_inspector_no_longer_monitors_an_image(run: Run) -> None:
    _, out, _ = run(replace(IMAGE, scan_type="ENHANCED", is_monitored=False))
    assert "not monitored by Inspector" in out
