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
from ledger.boards import Board, Boards
from ledger.changes import ChangedFinding
from ledger.image_records import ImageState
from ledger.known_findings import KnownFinding, findings_key
from local.registry.botocore_face import attach
from local.registry.registry_contents import IMAGE_INDEX, Fault, Finding, Scan, ScanResult
from own_events.rescan_finished import Problem
from tests.cli.conftest import Run, StackInMemory
from tests.cli.recorded import Recorded, refused
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
    said = "1 image could not be searched" if "--vulnerability" in options else ""
    assert result.exit_code == (4 if said else 0)
    assert result.stderr.startswith(said)
    assert bool(said) is bool(result.stderr)
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
        "waiting": 1,
        "never_scanned": 1,
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
        (("--repository", "(a"), "--repository (a is not a regular expression: "),
        (("--vulnerability", ""), "--vulnerability must be a name"),
        (("--repository", "prod/"), "--repository prod/ matches none of 4 repositories that"),
        (
            ("--repository", "prod/", "--as-of-run", "latest", "--fail-on", "low"),
            "--repository prod/ matches none of 1 repository that",
        ),
        (
            ("--repository", "prod/", "--vulnerability", CVE, "--fail-on", "low"),
            "--repository prod/ matches none of 4 repositories that",
        ),
        (("--vulnerability", CVE, "--details"), "--details is for the whole report"),
        (("--vulnerability", CVE, "--csv", "any"), "--csv is for the whole report"),
        (("--as-of-run", "run-2"), "There is no run run-2 that has ended and is kept."),
        (("--as-of-run", ""), "--as-of-run is empty: give the name of a run, or latest, or leave"),
        (("--repository", ""), "--repository is empty: give a pattern, or leave it out for all."),
        (("--html", "/no/such/a"), "/no/such/a cannot be written: there is no directory /no/such."),
        (("--html", "a" * 300), f"{'a' * 300} cannot be written: File name too long."),
        (("--csv", "."), ". is a directory: name a file in it."),
        (("--csv", ""), ". is a directory: name a file in it."),
        (("--csv", "/"), "/ is a directory: name a file in it."),
    ],
)
def test_refuses_what_it_cannot_do(
    known: RegistryAndLedger, run: Run, options: tuple[str, ...], complaint: str
) -> None:
    result = run("report", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint)
    assert result.stderr.count("\n") == 1


def test_reads_nothing_for_a_file_that_it_cannot_write(
    known: RegistryAndLedger, recorded: Recorded, run: Run
) -> None:
    recorded.answer("Scan", refused("Scan", "any"))
    assert run("report", "--csv", "..").exit_code == 2
    assert recorded.asked["Scan"] == []


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
    report("--vulnerability", CVE, "--fail-on", "critical", "--repository", "team/api")


def test_fails_on_the_vulnerability_that_it_is_asked_for(
    known: RegistryAndLedger, report: Report
) -> None:
    report("--vulnerability", CVE, "--fail-on", "high", code=1)
    within_team = ("--repository", "team/")
    report("--vulnerability", "CVE-2026-1", "--fail-on", "critical", *within_team)
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


@pytest.mark.parametrize(
    ("hostile", "in_a_cell"),
    [
        ("=1+1", "'=1+1"),
        ("\x1b[2J", "�[2J"),
        ("\u202egpj", "�gpj"),
        ("[bold red]", "[bold red]"),
        ("@SUM(1)", "'@SUM(1)"),
    ],
)
def test_text_from_outside_does_nothing(
    world: RegistryAndLedger, run: Run, tmp_path: Path, hostile: str, in_a_cell: str
) -> None:
    digest = world.image("team/api", "v1", tags=(hostile,))
    world.scan("team/api", digest, at=NOW - DAY, severities={"CRITICAL": 1})
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
    (image,) = csv.DictReader(result.stdout.splitlines())
    assert image["tags"] == in_a_cell
    findings = (tmp_path / "registry-findings.csv").read_text()
    (finding,) = csv.DictReader(findings.splitlines())
    assert finding["package"] == in_a_cell


def test_takes_the_images_of_a_run_without_asking_ecr(
    known: RegistryAndLedger, report: Report
) -> None:
    api = image_of(report(), "team/api")["image_digest"]
    known.line(
        "team/api", api, "STARTED", "accepted", image_tags=["v0"], pushed_at="2026-03-01T00:00:00Z"
    )
    known.line("team/gone", "sha256:" + "1" * 64, "GONE", "image deleted")
    known.line("team/old", "sha256:" + "2" * 64, "EXCLUDED", "untagged")
    known.line(
        *("team/lost", "sha256:" + "3" * 64, "FRESH", "scanned within RescanAfter"),
        last_scan_at="2026-03-13T03:00:00Z",
        severities={"LOW": 1},
    )
    known.run("run-2", hours_ago=1, scan_type="BASIC")
    known.run("only-some", hours_ago=0, is_whole=False)
    known.answer(Fault("DescribeImages", "AccessDeniedException", "no"))
    document = report("--as-of-run", "latest", "--worst", "0")
    assert document["as_of_run"] == "run-2"
    assert document["totals"]["not_scannable"] == {"EXCLUDED": 1}
    assert [each["repository"] for each in document["images"]] == [
        "team/api",
        "team/lost",
        "team/old",
    ]
    image = image_of(document, "team/api")
    assert (image["tags"], image["pushed_at"]) == (["v0"], "2026-03-01T00:00:00+00:00")
    assert (image["counts"], image["outcome"]) == ({"CRITICAL": 1, "HIGH": 2}, "STARTED")
    lost = image_of(document, "team/lost")
    assert (lost["age_hours"], lost["counts"], lost["status"]) == (24, {"LOW": 1}, None)
    document = report("--as-of-run", "run-1", "--worst", "0", "--repository", "team/w")
    assert [each["repository"] for each in document["images"]] == ["team/web"]
    found = report("--as-of-run", "run-2", "--vulnerability", CVE)
    assert [each["tags"] for each in found["images"]] == [["v0"]]
    assert found["gone"] == 0  # nothing is known of the repository of the other one


def test_names_the_run_whose_images_it_shows(known: RegistryAndLedger, run: Run) -> None:
    printed = run("report", "--as-of-run", "run-1").stdout
    assert "ecr-rescan · as run run-1 has found the images · everything done\n" in printed


@pytest.mark.parametrize(
    ("given", "not_done"),
    [
        ({"repositories_unknown": 1, "repositories_not_done": 1, "scan_type": "BASIC"}, True),
        ({"repositories_unknown": 1, "repositories_deferred": 1, "scan_type": "BASIC"}, True),
        ({"repositories_unknown": 1, "scan_type": "ENHANCED"}, False),
        ({"repositories_not_done": 1, "scan_type": None}, True),  # as version 0.3.0 left it
    ],
)
def test_says_that_a_run_has_not_listed_all_images(
    known: RegistryAndLedger, run: Run, report: Report, given: dict[str, Any], not_done: bool
) -> None:
    known.line("legacy/print-server", "sha256:" + "4" * 64, "FRESH", "scanned within RescanAfter")
    known.run("run-2", hours_ago=1, **given)
    result = run("report", "--as-of-run", "run-2", "--fail-on", "critical")
    assert result.exit_code == 4
    assert result.stderr == (
        "Images of 1 repository are missing: run run-2 has not listed all of them.\n"
    )
    assert ("· 1 of 4 repositories not done\n" in result.stdout) is not_done
    assert report("--as-of-run", "run-2", "--vulnerability", CVE, code=4)["gone"] == 0


def test_does_not_miss_what_it_was_not_asked_for(known: RegistryAndLedger, report: Report) -> None:
    """Whether what a run has not listed matches is known as long as all names are."""
    known.line("team/web", "sha256:" + "4" * 64, "FRESH", "scanned within RescanAfter")
    problems = (Problem("team/api", "AccessDenied: no"),)
    left = {"repositories_unknown": 2, "repositories_not_done": 1, "repositories_deferred": 1}
    known.run("some", scan_type="BASIC", problems=problems, deferred=("team/db",), **left)
    as_of = ("--as-of-run", "some", "--repository")
    assert report(*as_of, "team/web")["missing"] == []
    assert len(report(*as_of, "team/", code=4)["missing"]) == 1
    known.line("team/web", "sha256:" + "4" * 64, "FRESH", "scanned within RescanAfter")
    known.run("more", scan_type="BASIC", problems=problems, **left)
    assert len(report("--as-of-run", "more", *as_of[2:], "team/web", code=4)["missing"]) == 1


def test_counts_as_gone_what_is_not_in_a_repository_that_was_listed(
    known: RegistryAndLedger, report: Report
) -> None:
    known.line("legacy/print-server", "sha256:" + "4" * 64, "FRESH", "scanned within RescanAfter")
    known.run("some", scan_type="BASIC", is_whole=False)
    found = report("--as-of-run", "some", "--vulnerability", CVE)
    assert (found["images"], found["gone"]) == ([], 1)  # and not that of team/api
    repository = "legacy/print-server"
    known.answer(Fault("DescribeImages", "AccessDeniedException", "no", repository=repository))
    assert report("--vulnerability", CVE, code=4)["gone"] == 0
    gone = Fault("DescribeImages", "RepositoryNotFoundException", "gone", repository=repository)
    known.answer(gone)
    assert report("--vulnerability", CVE, "--repository", "legacy/")["gone"] == 1


def test_leaves_out_what_is_elsewhere(world: RegistryAndLedger, run: Run, report: Report) -> None:
    elsewhere, digest = "111122223333:eu-west-1:team/api", "sha256:" + "a" * 64
    world.scan(elsewhere, digest, at=NOW - DAY, severities={"CRITICAL": 1})
    critical = {(CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3), revision=1)}
    world.find(elsewhere, digest, critical)
    world.image("team/web", "v1")
    found = report("--vulnerability", CVE)
    assert (found["images"], found["gone"], found["searched"]) == ([], 0, 0)
    result = run("report")
    assert result.stderr.startswith("The ledger is empty")


def test_says_how_the_last_run_over_everything_has_ended(
    known: RegistryAndLedger, run: Run
) -> None:
    known.run("run-2", hours_ago=2, status="INCOMPLETE", repositories_not_done=2)
    assert "last run 2 h ago · 2 of 4 repositories not done" in run("report").stdout
    known.run("run-3", hours_ago=1, status="INCOMPLETE", is_whole=False)
    printed = run("report", "-o", "json").stdout
    assert [each["run"] for each in json.loads(printed)["runs"]] == ["run-3", "run-2", "run-1"]
    assert "last run over everything 2 h ago · 2 of 4 repositories" in run("report").stdout


def test_a_dry_run_is_not_the_last_run(
    known: RegistryAndLedger, run: Run, report: Report, tmp_path: Path
) -> None:
    digest = image_of(report("--worst", "0"), "team/web", "v2")["image_digest"]
    known.line("team/web", digest, "DUE", "dry run")
    known.run("dry", hours_ago=1, dry_run=True)
    path = tmp_path / "report.html"
    assert "last run 3 h ago" in run("report", "--html", str(path)).stdout
    assert "last run 2026-03-13 23:50" in path.read_text()
    document = report("--worst", "0")
    assert [each["run"] for each in document["runs"]] == ["dry", "run-1"]
    assert image_of(document, "team/web", "v2")["outcome"] == "FRESH"
    assert report("--as-of-run", "latest")["as_of_run"] == "run-1"
    named = report("--as-of-run", "dry", "--worst", "0")
    assert image_of(named, "team/web")["outcome"] == "DUE"


def test_says_that_only_dry_runs_are_kept(world: RegistryAndLedger, run: Run) -> None:
    world.image("team/api", "v1")
    world.run("dry", dry_run=True)
    assert "only dry runs are kept" in run("report").stdout


def test_counts_what_the_last_scan_has_found_where_names_are_not_read(
    known: RegistryAndLedger, stack: StackInMemory, report: Report, run: Run
) -> None:
    """Names that were read before IncludeFindings was set to false are not those of the scan."""
    accept()
    stack.parameters["IncludeFindings"] = "false"
    image = image_of(report(), "team/api")
    assert (image["counts"], image["accepted_counts"]) == ({"CRITICAL": 1, "HIGH": 2}, {})
    assert (image["is_named"], image["findings"]) == (False, [])
    result = run("report", "--vulnerability", CVE, "--fail-on", "low")
    assert result.exit_code == 4
    assert result.stderr == (
        "Which images have a vulnerability is not known: the stack has IncludeFindings=false, so "
        "that findings are known by number alone.\n"
    )
    assert "is in 0 images" in result.stdout


def test_names_of_a_former_scan_are_not_those_of_the_last_one(
    known: RegistryAndLedger, report: Report, run: Run
) -> None:
    old = image_of(report(), "legacy/print-server")["image_digest"]
    known.scan("legacy/print-server", old, at=NOW - 12 * DAY, severities={"CRITICAL": 9, "LOW": 1})
    image = image_of(report(), "legacy/print-server")
    assert (image["counts"], image["is_named"]) == ({"CRITICAL": 9, "LOW": 1}, False)
    result = run("report", "--vulnerability", CVE, "--repository", "(team|legacy)/")
    assert result.exit_code == 4
    assert f"{CVE} is in 1 image of 1 repository." in result.stdout
    assert result.stderr == (
        f"Whether legacy/print-server@{old} has it is not known: the findings of its last scan are "
        "known by number alone.\n"
    )


def test_says_how_many_images_cannot_be_searched(
    known: RegistryAndLedger, report: Report, run: Run
) -> None:
    """A search without names finds nothing, which is not that there is nothing."""
    gone = known.image("old/api", "v0")
    known.scan("old/api", gone, at=NOW - DAY, severities={"LOW": 1})
    del known.registry.repositories["old/api"].images[gone]
    known.image("old/api", "v1")
    result = run("report", "--vulnerability", "CVE-1")
    assert result.exit_code == 4
    assert result.stdout.startswith("CVE-1 is in 0 images of 0 repositories.")
    assert result.stderr == (  # that of payments/ledger
        "1 image could not be searched: the findings of the last scan are known by number alone. "
        "is_named is false in: ecr-rescan report --worst 0 -o json\n"
    )
    assert report("--vulnerability", "CVE-1", "--repository", "team/")["missing"] == []
    api = known.image("team/api", "v1", tags=("v1",))
    known.scan("team/api", api, at=NOW - HOUR, severities={"CRITICAL": 1, "HIGH": 9, "LOW": 1})
    (missing,) = report("--vulnerability", "CVE-1", code=4)["missing"]
    assert missing.startswith("2 images could not be searched")
    known.scan("team/api", api, at=NOW - HOUR / 2, status="FAILED")
    old = image_of(report(), "legacy/print-server")["image_digest"]
    known.scan("legacy/print-server", old, at=NOW - DAY, status="FAILED")
    (missing,) = report("--vulnerability", "CVE-1", code=4)["missing"]
    assert missing.startswith("1 image could not be searched")


def test_says_that_the_ledger_is_empty(world: RegistryAndLedger, run: Run) -> None:
    world.image("team/api", "v1")
    result = run("report", "--region", "eu-west-1")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "The ledger is empty: no run has ended yet. ecr-rescan run --follow --region eu-west-1 "
        "starts one, and shows when it has ended.\n"
    )


def test_an_empty_registry_is_a_report(world: RegistryAndLedger, run: Run) -> None:
    world.run("run-1")
    result = run("report")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("There is no image in the repositories that ecr-rescan covers.")


def test_says_that_nothing_is_wrong(world: RegistryAndLedger, run: Run) -> None:
    digest = world.image("team/api", "v1")
    world.scan("team/api", digest, at=NOW - DAY)
    assert "24 h" in run("report", "--worst", "0").stdout
    assert run("report").stdout.splitlines()[:2] == [
        "None of 1 image has open critical vulnerabilities; none is overdue for a scan.",
        "123456789012 · eu-west-1 · ecr-rescan · no run is kept",
    ]


def test_says_which_repositories_could_not_be_listed(known: RegistryAndLedger, run: Run) -> None:
    denied = Fault("DescribeImages", "AccessDeniedException", "no", repository="team/api")
    gone = Fault("DescribeImages", "RepositoryNotFoundException", "gone", repository="team/web")
    known.answer(denied, gone)
    result = run("report")
    assert result.exit_code == 4
    assert result.stdout.startswith("1 of 4 images has open critical vulnerabilities")
    assert result.stderr.startswith("The images of team/api are missing: Not allowed")
    assert run("report", "--fail-on", "critical").exit_code == 1
    assert run("report", "--vulnerability", CVE).exit_code == 4


def test_fails_where_no_repository_can_be_listed(known: RegistryAndLedger, run: Run) -> None:
    known.answer(Fault("DescribeImages", "AccessDeniedException", "no"))
    result = run("report")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Not allowed: ecr:DescribeImages")


def test_lists_some_of_many_complaints(known: RegistryAndLedger, run: Run) -> None:
    for number in range(12):
        known.image(f"denied/{number}", "v1")
    known.answer(
        *(
            Fault("DescribeImages", "AccessDeniedException", "no", repository=f"denied/{number}")
            for number in range(12)
        )
    )
    result = run("report")
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 11
    assert "2 more parts could not be read: -o json lists all." in result.stderr


def test_names_what_the_ledger_and_the_runs_have_lost(
    known: RegistryAndLedger, run: Run, report: Report
) -> None:
    digest = image_of(report(), "team/api")["image_digest"]
    item = {"revision": 1, "scan_type": "BASIC", "found": b"no zlib", "expires_at": 1}
    known.table.put(findings_key("team/api", digest), item)
    known.bucket._client.put_object(
        Bucket="run-bucket", Key="runs/run-1/images/any/step-0001.ndjson.gz", Body=b"no gzip"
    )
    accept("accepted_risks: 5")
    result = run("report")
    assert result.exit_code == 4
    assert result.stderr.splitlines() == [
        f"What the ledger knows of team/api@{digest} is incomplete: an item cannot be read.",
        "Outcomes of images are incomplete: runs/run-1/images/any/step-0001.ndjson.gz "
        "cannot be read.",
        "accepted-risks.yaml, line 1: accepted_risks must be a list of entries; [] accepts "
        "nothing.",
    ]


def test_counts_subscribers_that_have_confirmed(
    known: RegistryAndLedger, report: Report, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    sns: Any = boto3.client("sns")
    topic = sns.list_topics()["Topics"]
    arn = next(each["TopicArn"] for each in topic if "notifications" in each["TopicArn"])
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:1:any")
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@example.org")
    assert report()["subscribers"].get("sqs") == 1


def test_asks_ecr_for_details_of_what_it_shows(
    known: RegistryAndLedger, run: Run, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("runtime.clock.sleep", lambda seconds, *_: waited.append(seconds))
    found = (
        Finding(CVE, "CRITICAL", "openssl", "3.0.11"),
        Finding("CVE-2026-1", "HIGH", "zlib", "1.2"),
    )
    image = next(iter(known.registry.repositories["team/api"].images.values()))
    image.last_scan = Scan(NOW - 2 * DAY, NOW - 2 * DAY, ScanResult(findings=found))
    finding, other, unlisted = image_of(report("--details"), "team/api")["findings"]
    assert finding["details"]["link"]
    assert other["version"] == "1.2"
    assert unlisted["details"] is None
    assert waited == [0.5, 0.5]
    result = run("report", "--details", width=120)
    assert result.exit_code == 0
    assert "VULNERABILITY" in result.stdout
    known.answer(Fault("DescribeImageScanFindings", "AccessDeniedException", "no"))
    result = run("report", "--details")
    assert result.exit_code == 4
    assert "The details of team/api@sha256:" in result.stderr


def test_asks_for_details_at_half_the_rate_that_runs_have_learnt(
    known: RegistryAndLedger, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("runtime.clock.sleep", lambda seconds, *_: waited.append(seconds))
    board = Board(rate=16, front=0, front_at=0, window_at=0, touched_at=0, is_learnt=True)
    Boards(known.table).create("DescribeImageScanFindings", board)
    report("--details")
    assert waited == [1 / 8] * 2


def test_writes_one_page(known: RegistryAndLedger, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert run("report", "--html", str(path)).exit_code == 0
    text = path.read_text()
    assert text.startswith("<!")
    assert "team/api" in text


def test_says_what_is_known_of_an_image_that_has_a_vulnerability(
    world: RegistryAndLedger, report: Report, run: Run
) -> None:
    accept(RISKS.replace("CVE-2026-1", CVE))
    critical = {(CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3), revision=1)}
    digest = world.image("team/multi", "arm", tags=())
    world.index("team/multi", "v1", {digest: "linux/arm64"})
    world.find("team/multi", digest, critical)
    gone = world.image("team/gone", "v1")
    world.find("team/gone", gone, critical)
    del world.registry.repositories["team/gone"].images[gone]
    lookalike = world.image("team/longer", "v1")
    world.find(
        "team/longer", lookalike, {(f"{CVE}0", "zlib"): KnownFinding("LOW", date(2026, 3, 3))}
    )
    found = report("--vulnerability", CVE.lower())
    (image,) = found["images"]
    assert (image["tags"], image["platform"]) == (["v1"], "linux/arm64")
    assert image["findings"][0]["accepted"]["by"] == "k.meyer"
    assert (found["gone"], found["searched"]) == (1, 3)
    printed = run("report", "--vulnerability", CVE, width=120).stdout
    assert "team/multi:v1 (linux/arm64)" in printed
    words = " ".join(printed.split())
    assert "accepted until 2026-12-31, scan overdue, last scan unknown" in words
    assert "1 image that had it no longer exist." in printed


def test_finds_a_vulnerability_in_no_image(known: RegistryAndLedger, run: Run) -> None:
    result = run("report", "--vulnerability", "CVE-1", "--repository", "team/")
    assert result.exit_code == 0
    assert result.stdout.startswith("CVE-1 is in 0 images of 0 repositories. 2 searched")


def test_leaves_to_inspector_what_inspector_scans(
    world: RegistryAndLedger, report: Report, run: Run
) -> None:
    """An image that it monitors is scanned as soon as a vulnerability is known."""
    findings = {
        (CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3), is_accepted=True),
        ("CVE-2026-9", "zlib"): KnownFinding("HIGH", date(2026, 3, 3)),
    }
    monitored = world.image("team/api", "v1")
    scan = {"scan_type": "ENHANCED", "status": "ACTIVE"}
    world.scan("team/api", monitored, at=NOW - 40 * DAY, **scan)
    world.find("team/api", monitored, findings, scan_type="ENHANCED")
    expired = world.image("team/api", "v2")
    world.scan("team/api", expired, at=NOW - 40 * DAY, **scan)
    world.find(
        "team/api", expired, {}, image_state=ImageState(scan_type="ENHANCED", is_monitored=False)
    )
    world.image("team/api", "index", manifest_media_type=IMAGE_INDEX)
    basic = world.image("team/api", "v3")
    world.scan("team/api", basic, at=NOW - 40 * DAY)
    world.answer(scan_type="ENHANCED")
    document = report("--worst", "0")
    fresh = {each["tags"][0]: (each["freshness"], each["outcome"]) for each in document["images"]}
    assert fresh == {
        "v1": ("inside", None),
        "v2": ("none", "NOT_MONITORED"),
        "v3": ("waiting", None),
        "index": ("none", "UNSCANNABLE"),
    }
    assert (document["scan_type"], document["histogram"]) == ("ENHANCED", [])
    suppressed = image_of(document, "team/api", "v1")["findings"][0]["accepted"]
    assert suppressed == {"until": None, "by": "Amazon Inspector", "reason": "suppressed by a rule"}
    printed = run("report").stdout
    assert "Amazon Inspector rescans them." in printed
    assert "Monitored by Amazon Inspector: 1 of 2 (50.0 %)\n" in printed
    assert "suppressed" in run("report", "--vulnerability", CVE, width=120).stdout


def test_reads_what_version_0_3_0_has_left(
    world: RegistryAndLedger, report: Report, run: Run
) -> None:
    kept = json.loads(KEPT.read_text())
    client: Any = boto3.client("dynamodb")
    for item in kept["table"]:
        client.put_item(TableName="ledger-table", Item=item)
    accept(kept["bucket"]["accepted-risks.yaml"])
    known = {
        item["sk"]["S"].removeprefix("image#")
        for item in kept["table"]
        if item["pk"]["S"] == "repository#team/api" and item["sk"]["S"].startswith("image#")
    }
    for digest in known:
        world.image("team/api", "v1", digest=digest)
    document = report("--worst", "0")
    assert {each["image_digest"] for each in document["images"]} == known
    assert document["missing"] == []
    assert document["totals"]["images_with"]
    assert all(not each["is_named"] for each in document["images"] if each["counts"])
    assert "image" in run("report").stdout


def test_says_that_subscribers_could_not_be_counted(
    known: RegistryAndLedger, recorded: Recorded, stack: StackInMemory, run: Run
) -> None:
    operation = "ListSubscriptionsByTopic"
    recorded.answer(operation, refused(operation, "AuthorizationError"))
    result = run("report")
    assert result.exit_code == 4
    assert result.stderr.startswith("The subscribers of notifications are missing: Not allowed")
    del stack.outputs["NotificationTopicArn"]
    assert run("report").exit_code == 0


def test_counts_no_subscriber_that_has_not_confirmed(
    known: RegistryAndLedger, recorded: Recorded, report: Report
) -> None:
    listed = [
        {"SubscriptionArn": arn, "Protocol": "email"}
        for arn in (
            "PendingConfirmation",
            "Deleted",
            "arn:aws:sns:eu-west-1:123456789012:notifications:any",
        )
    ]
    recorded.answer("ListSubscriptionsByTopic", {"Subscriptions": listed})
    assert report()["subscribers"] == {"email": 1}


def test_lists_all_pages_of_a_repository(known: RegistryAndLedger, report: Report) -> None:
    known.answer(page_size=1)
    assert report()["totals"]["images"] == 7


@pytest.mark.parametrize("parameter", ["RepositoryFilter", "ExcludeTagPattern"])
def test_says_that_a_parameter_takes_too_long(
    known: RegistryAndLedger, stack: StackInMemory, run: Run, parameter: str
) -> None:
    known.image(f"{'a' * 60}-b", f"{'a' * 60}-b")
    stack.parameters[parameter] = "(a+)+$"
    result = run("report")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"{parameter} must be a regular expression")


@pytest.mark.parametrize("command", [("report",), ("why", "team/api:v1")])
@pytest.mark.parametrize("pattern", ["(", "a{99999999999}"])
def test_says_that_tags_are_excluded_by_no_expression(
    known: RegistryAndLedger, stack: StackInMemory, run: Run, pattern: str, command: tuple[str]
) -> None:
    stack.parameters["ExcludeTagPattern"] = pattern
    result = run(*command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(
        "The parameter ExcludeTagPattern of the stack ecr-rescan cannot be used: "
        f"{pattern} is not a regular expression: "
    )


def test_says_that_the_filter_is_no_expression(
    known: RegistryAndLedger, stack: StackInMemory, run: Run
) -> None:
    stack.parameters["RepositoryFilter"] = "prod/("
    result = run("report")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("The parameter RepositoryFilter of the stack ecr-rescan cannot")


def test_asks_for_details_of_images_that_are_gone(
    known: RegistryAndLedger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.clock.sleep", lambda *_: None)
    known.answer(Fault("DescribeImageScanFindings", "ScanNotFoundException", "none"))
    assert run("report", "--details").exit_code == 0


def test_shows_what_is_excluded_and_a_due_date_in_hours(
    world: RegistryAndLedger, stack: StackInMemory, run: Run
) -> None:
    stack.parameters |= {"RescanAfter": "36h", "ImageSelection": "TAGGED"}
    untagged = world.image("team/api", "v1", tags=())
    critical = {(CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3))}
    world.scan("team/api", untagged, at=NOW - DAY, severities={"CRITICAL": 1})
    world.find("team/api", untagged, critical)
    result = run("report")
    assert "excluded" in result.stdout
    assert "Scanned within" not in result.stdout
    assert "excluded" in run("report", "--vulnerability", CVE).stdout
    world.image("team/api", "v2", pushed_at=NOW)
    assert "Scanned within 36 h: 0 of 1 (0.0 %) · never scanned 1" in run("report").stdout


def test_says_how_many_more_there_are(world: RegistryAndLedger, run: Run) -> None:
    critical = {(CVE, "openssl"): KnownFinding("CRITICAL", date(2026, 3, 3))}
    for number in range(3):
        digest = world.image("team/api", f"v{number}")
        world.find("team/api", digest, critical)
    assert "2 more with criticals: --worst 0 shows all" in run("report", "--worst", "1").stdout
