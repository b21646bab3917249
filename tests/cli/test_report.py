"""`ecr-rescan report` on a simulated registry and a ledger of moto's, written by the functions."""

import csv
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.stack import Account
from ledger.changes import ChangedFinding
from ledger.image_records import image_key
from ledger.known_findings import KnownFinding, findings_key
from local.registry.botocore_face import attach
from local.registry.registry_contents import IMAGE_INDEX, Fault, Finding, Scan, ScanResult
from tests.cli.conftest import Run, StackInMemory
from tests.support.clock import NOW
from tests.support.registry_and_ledger import DAY, RegistryAndLedger
from tests.support.screens import kept_screen
from tests.support.template import ROOT

CVE = "CVE-2026-31337"
HOUR = timedelta(hours=1)
KEPT = ROOT / "tests" / "support" / "kept_by_0_3_0.json"
RISKS = """
accepted_risks:
  - vulnerability: CVE-2026-1
    repositories: team/.*
    reason: not reachable
    expires: 2026-12-31
    accepted_by: k.meyer
"""
type Report = Callable[..., Any]


@pytest.fixture
def world(stack: StackInMemory, monkeypatch: pytest.MonkeyPatch) -> RegistryAndLedger:
    """Let the simulated registry answer the client of the command."""
    world, make = RegistryAndLedger(), Account._client.__wrapped__

    def client(account: Account, service: str, region: str | None) -> Any:
        made = make(account, service, region)
        if service == "ecr":
            attach(made, world.registry, sleep=lambda _: None)
        return made

    monkeypatch.setattr(Account, "_client", client)
    return world


@pytest.fixture
def known(world: RegistryAndLedger) -> RegistryAndLedger:
    """Fill registry and ledger with an image of every kind."""
    api = world.image("team/api", "v1", tags=("v1", "latest"), pulled_at=NOW - DAY)
    world.scan("team/api", api, at=NOW - 2 * DAY, severities={"CRITICAL": 1, "HIGH": 2})
    world.find(
        "team/api",
        api,
        {
            (CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3), revision=1),
            ("CVE-2026-1", "zlib"): KnownFinding("HIGH", date(2026, 2, 1), revision=1),
            ("CVE-2026-2", "zlib"): KnownFinding("HIGH", date(2026, 2, 1), revision=1),
        },
        changed=(ChangedFinding(CVE, "openssl", "CRITICAL", version="3.0.11"),),
        incident="key",
    )
    world.notify("team/api", api, "SLACK", NOW - 2 * DAY)
    world.notify("team/api", api, "SNS", NOW - DAY)
    old = world.image("legacy/print-server", "r767")
    world.scan("legacy/print-server", old, at=NOW - 13 * DAY, severities={"CRITICAL": 1})
    world.find(
        "legacy/print-server",
        old,
        {(CVE, "libssl3"): KnownFinding("CRITICAL", date(2026, 2, 10), revision=1)},
        since=date(2026, 2, 10),
    )
    ledger = world.image("payments/ledger", "r1120", tags=())
    world.scan("payments/ledger", ledger, at=NOW - 8 * DAY, severities={"HIGH": 2})
    world.image("payments/ledger", "new", pushed_at=NOW - HOUR)
    windows = world.image("payments/ledger", "windows")
    world.scan("payments/ledger", windows, at=NOW - DAY, status="UNSUPPORTED_IMAGE")
    clean = world.image("team/web", "v2")
    world.scan("team/web", clean, at=NOW - 6 * DAY)
    world.line("team/web", clean, "FRESH", "scanned within RescanAfter")
    world.image("team/web", "index", manifest_media_type=IMAGE_INDEX)
    world.run("run-1")
    return world


@pytest.fixture
def report(run: Run) -> Report:
    """Return the document of a report."""

    def report(*options: str, code: int = 0) -> Any:
        result = run("report", "-o", "json", *options)
        assert result.exit_code == code, result.stderr
        return json.loads(result.stdout)

    return report


def accept(text: str = RISKS) -> None:
    boto3.client("s3").put_object(Bucket="run-bucket", Key="accepted-risks.yaml", Body=text)


def image_of(document: Any, repository: str, tag: str | None = None) -> Any:
    (image,) = [
        each
        for each in document["images"]
        if each["repository"] == repository and (tag is None or tag in each["tags"])
    ]
    return image


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("report", ()),
        ("report-overdue", ("--overdue",)),
        ("report-vulnerability", ("--vulnerability", CVE)),
    ],
)
def test_screens(
    known: RegistryAndLedger, run: Run, name: str, options: tuple[str, ...], width: int
) -> None:
    accept()
    result = run("report", *options, width=width)
    assert (result.exit_code, result.stderr) == (0, "")
    text = "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())
    assert text == kept_screen(f"{name}-{width}", text)
    assert max(map(len, text.splitlines())) <= width


def test_counts_what_is_open_and_what_is_fresh(known: RegistryAndLedger, report: Report) -> None:
    accept()
    document = report("--worst", "0")
    assert document["totals"] == {
        "images": 7,
        "repositories": 4,
        "scannable": 5,
        "inside": 2,
        "due": 1,
        "overdue": 1,
        "never": 1,
        "oldest_hours": 13 * 24,
        "images_with": {"CRITICAL": 2, "HIGH": 2},
        "findings": {"CRITICAL": 2, "HIGH": 3},
        "accepted": 1,
        "not_scannable": {"UNSUPPORTED": 1, "UNSCANNABLE": 1},
        "not_notified": 1,
    }
    assert sum(each["images"] for each in document["histogram"]) == 4
    assert len(document["images"]) == 7
    assert document["missing"] == []


def test_says_everything_about_an_image(known: RegistryAndLedger, report: Report) -> None:
    accept()
    image = image_of(report(), "team/api")
    finding, accepted, other = image.pop("findings")
    assert image == {
        "repository": "team/api",
        "image_digest": image["image_digest"],
        "freshness": "inside",
        "tags": ["v1", "latest"],
        "platform": None,
        "pushed_at": "2025-12-14T03:00:00+00:00",
        "pulled_at": "2026-03-13T03:00:00+00:00",
        "scanned_at": "2026-03-12T03:00:00+00:00",
        "age_hours": 48.0,
        "scan_type": "BASIC",
        "status": "COMPLETE",
        "outcome": None,
        "reason": None,
        "counts": {"CRITICAL": 1, "HIGH": 2},
        "accepted_counts": {"HIGH": 1},
        "is_named": True,
        "notified": {
            "SLACK": {"first": "2026-03-12T03:00:00+00:00", "last": "2026-03-12T03:00:00+00:00"},
            "SNS": {"first": "2026-03-13T03:00:00+00:00", "last": "2026-03-13T03:00:00+00:00"},
        },
        "has_incident": True,
    }
    assert finding == {
        "name": CVE,
        "package": "openssl",
        "version": "3.0.11",
        "severity": "CRITICAL",
        "first_seen": "2026-03-03",
        "is_seen_later": False,
        "accepted": None,
        "notified": {"SLACK": "2026-03-12T03:00:00+00:00", "SNS": "2026-03-13T03:00:00+00:00"},
        "notified_before": [],
        "details": None,
    }
    assert accepted["accepted"] == {
        "until": "2026-12-31",
        "by": "k.meyer",
        "reason": "not reachable",
    }
    assert (other["name"], other["accepted"]) == ("CVE-2026-2", None)


def test_says_why_an_image_is_not_scanned(known: RegistryAndLedger, report: Report) -> None:
    images = report("--worst", "0")
    index, windows = (
        image_of(images, "team/web", "index"),
        image_of(images, "payments/ledger", "windows"),
    )
    assert (index["freshness"], index["outcome"]) == ("none", "UNSCANNABLE")
    assert index["reason"] == "image index"
    assert (windows["outcome"], windows["reason"]) == ("UNSUPPORTED", "operating system")
    clean = image_of(images, "team/web", "v2")
    assert (clean["outcome"], clean["reason"]) == ("FRESH", "scanned within RescanAfter")
    assert clean["is_named"]


def test_takes_the_images_with_the_oldest_scans(known: RegistryAndLedger, report: Report) -> None:
    ages = [each["age_hours"] for each in report("--oldest", "0")["images"]]
    assert ages == [13 * 24, 8 * 24, 6 * 24, 2 * 24, 1]
    assert [each["age_hours"] for each in report("--oldest", "2")["images"]] == [312, 192]
    (overdue,) = report("--overdue")["images"]
    assert overdue["repository"] == "legacy/print-server"


def test_takes_only_repositories_that_match(known: RegistryAndLedger, report: Report) -> None:
    document = report("--repository", "(team|payments)/")
    assert document["totals"]["images"] == 6
    assert {each["repository"] for each in document["images"]} == {"team/api", "payments/ledger"}
    found = report("--vulnerability", CVE.lower(), "--repository", "legacy/.*-server")
    assert [each["repository"] for each in found["images"]] == ["legacy/print-server"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--worst", "3", "--overdue"), "--worst and --overdue cannot be combined"),
        (("--oldest", "-1"), "--oldest must be a number of images, or 0 for all, not -1."),
        (("--fail-on", "any"), "--fail-on must be one of critical, high, medium, low, overdue."),
        (("--repository", "(a"), "--repository must be a regular expression, not (a: "),
        (("--vulnerability", ""), "--vulnerability must be a name"),
        (("--vulnerability", CVE, "--details"), "--details is for the whole report"),
        (("--vulnerability", CVE, "--csv", "any"), "--csv is for the whole report"),
        (("--as-of-run", "run-2"), "There is no run run-2 that has ended and is kept."),
        (("--html", "/no/such/folder/a"), "/no/such/folder/a cannot be written: No such file"),
    ],
)
def test_refuses_what_it_cannot_do(
    known: RegistryAndLedger, run: Run, options: tuple[str, ...], complaint: str
) -> None:
    result = run("report", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint)
    assert result.stderr.count("\n") == 1


@pytest.mark.slow  # until the pattern is given up
def test_gives_up_a_pattern_that_takes_too_long(known: RegistryAndLedger, run: Run) -> None:
    known.image("a" * 60 + "-b", "v1")
    result = run("report", "--repository", "(a+)+$")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("--repository must be a regular expression that matches within")


@pytest.mark.parametrize(
    ("level", "code"),
    [("critical", 1), ("high", 1), ("low", 1), ("overdue", 1)],
)
def test_fails_on_what_it_is_asked_for(
    known: RegistryAndLedger, report: Report, level: str, code: int
) -> None:
    report("--fail-on", level, code=code)


def test_fails_on_what_is_open_and_at_least_as_severe(
    known: RegistryAndLedger, report: Report
) -> None:
    report("--repository", "team/web", "--fail-on", "low")
    report("--repository", "team/web", "--fail-on", "overdue")
    report("--repository", "payments/", "--fail-on", "critical")
    report("--repository", "payments/", "--fail-on", "high", code=1)
    accept(
        "accepted_risks:\n"
        + "".join(
            f"  - {{vulnerability: {name}, reason: a, expires: 2026-03-14, accepted_by: j}}\n"
            for name in ("CVE-2026-1", "CVE-2026-2", CVE)
        )
    )
    report("--repository", "team/api", "--fail-on", "low")
    report("--vulnerability", CVE, "--fail-on", "critical")


def test_fails_on_the_vulnerability_that_it_is_asked_for(
    known: RegistryAndLedger, report: Report
) -> None:
    report("--vulnerability", CVE, "--fail-on", "high", code=1)
    report("--vulnerability", "CVE-2026-1", "--fail-on", "critical")
    report("--vulnerability", "CVE-2026-1", "--fail-on", "high", code=1)
    report("--vulnerability", CVE, "--fail-on", "overdue", code=1)


def test_writes_a_row_per_image_and_beside_it_one_per_finding(
    known: RegistryAndLedger, run: Run, tmp_path: Path
) -> None:
    accept()
    path = tmp_path / "registry.csv"
    assert run("report", "--csv", str(path)).exit_code == 0
    with path.open(newline="") as file:
        images = list(csv.DictReader(file))
    with (tmp_path / "registry-findings.csv").open(newline="") as file:
        findings = list(csv.DictReader(file))
    assert len(images) == 7
    assert images[0] == {
        "repository": "team/api",
        "image_digest": images[0]["image_digest"],
        "tags": "v1 latest",
        "platform": "",
        "pushed_at": "2025-12-14T03:00:00+00:00",
        "pulled_at": "2026-03-13T03:00:00+00:00",
        "scanned_at": "2026-03-12T03:00:00+00:00",
        "age_hours": "48.0",
        "freshness": "inside",
        "scan_type": "BASIC",
        "status": "COMPLETE",
        "outcome": "",
        "reason": "",
        "critical": "1",
        "high": "1",
        "medium": "0",
        "low": "0",
        "other": "0",
        "accepted": "1",
        "open_since": "2026-03-03",
        "notified": "SLACK SNS",
        "has_incident": "true",
    }
    assert [each["name"] for each in findings] == [CVE, "CVE-2026-1", "CVE-2026-2", CVE]
    assert findings[1]["accepted_by"] == "k.meyer"
    assert findings[0]["notified_at"] == "2026-03-12T03:00:00+00:00"


def test_writes_rows_to_standard_output(known: RegistryAndLedger, run: Run) -> None:
    printed = run("report", "-o", "csv").stdout.splitlines()
    assert [line.partition(",")[0] for line in printed] == [
        "repository",
        "team/api",
        "legacy/print-server",
        "payments/ledger",
    ]
    printed = run("report", "-o", "csv", "--vulnerability", CVE).stdout.splitlines()
    assert len(printed) == 3
    assert "openssl,3.0.11,CRITICAL,2026-03-03" in printed[1]


@pytest.mark.parametrize("hostile", ["=1+1", "\x1b[2J", "\u202egpj", "[bold red]", "@SUM(1)"])
def test_text_from_outside_does_nothing(
    world: RegistryAndLedger, run: Run, tmp_path: Path, hostile: str
) -> None:
    digest = world.image("team/api", "v1", tags=(hostile,))
    world.scan("team/api", digest, at=NOW - DAY)
    found = {(f"{hostile}1", hostile): KnownFinding("CRITICAL", date(2026, 3, 3))}
    world.find("team/api", digest, found)
    world.run("run-1")
    path = tmp_path / "registry.csv"
    for options in (
        ("--csv", str(path)),
        ("--vulnerability", f"{hostile}1"),
        ("-o", "csv"),
    ):
        result = run("report", *options, width=120)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.replace("\n", "").replace("\r", "").isprintable()
        assert "\u202e" not in result.stdout
    assert hostile in result.stdout or not hostile.isprintable() or hostile[0] in "=@"
    findings = (tmp_path / "registry-findings.csv").read_text()
    for row in csv.DictReader(findings.splitlines()):
        assert not row["package"].startswith(("=", "@"))
        assert row["package"].isprintable()
