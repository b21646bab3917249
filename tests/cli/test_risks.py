"""Accepted risks against the findings of a ledger in memory, and one more of them."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest

from accepted_risks.risks import AcceptedRisk, AcceptedRisks, UnusableAcceptedRisks
from cli.call import Call
from cli.risks_document import lines_of, with_entry
from ledger.known_findings import KnownFinding
from tests.cli.conftest import TERMINAL, Run, StackInMemory, assert_declined
from tests.support.clock import NOW
from tests.support.registry_and_ledger import RegistryAndLedger

TODAY = NOW.date()
HEAD = "# What we accept.\naccepted_risks:\n"
CVE = "CVE-2026-31337"


def entry(vulnerability: str, expires: str, repositories: str = "") -> str:
    where = f"    repositories: {repositories}\n" if repositories else ""
    return (
        f"  - vulnerability: {vulnerability}\n{where}    reason: not reachable\n"
        f"    expires: {expires}\n    accepted_by: anna\n"
    )


@pytest.fixture(autouse=True)
def versioned(stack: StackInMemory) -> None:
    boto3.client("s3").put_bucket_versioning(
        Bucket="run-bucket", VersioningConfiguration={"Status": "Enabled"}
    )


@pytest.fixture
def ledger(stack: StackInMemory) -> RegistryAndLedger:
    known = RegistryAndLedger()
    named = {
        "team/api": ["CVE-1", CVE],
        "team/auth": [CVE],
        "data/etl": ["CVE-1"],
        "111122223333:eu-west-1:team/api": [CVE],
    }
    for repository, names in named.items():
        digest = known.image(repository, "v1")
        findings = {(name, "openssl"): KnownFinding("MEDIUM", TODAY) for name in names}
        known.find(repository, digest, findings)
    return known


@pytest.fixture
def unreadable(ledger: RegistryAndLedger) -> str:
    """Damage the findings of an image, and return what is said of it."""
    table: Any = boto3.resource("dynamodb").Table("ledger-table")
    items = table.scan()["Items"]
    (damaged,) = (
        each
        for each in items
        if each["pk"] == "repository#data/etl" and each["sk"].startswith("findings#")
    )
    table.put_item(Item={**damaged, "found": "damaged"})
    image = f"data/etl@{damaged['sk'].partition('#')[2]}"
    return f"What the ledger knows of {image} is incomplete: an item cannot be read.\n"


def upload(text: str) -> None:
    boto3.client("s3").put_object(
        Bucket="run-bucket", Key="accepted-risks.yaml", Body=text.encode()
    )


def uploaded() -> str:
    answer = boto3.client("s3").get_object(Bucket="run-bucket", Key="accepted-risks.yaml")
    return answer["Body"].read().decode()


class TestCheckRisks:
    def test_says_what_each_entry_matches(
        self, ledger: RegistryAndLedger, run: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "risks.yaml"
        entries = [
            entry(CVE, "2026-12-31"),
            entry("CVE-1", "2026-03-28", "team/.*"),
            entry("CVE-1", "2026-12-31", "api"),
            entry(CVE, "2026-03-13", "team/api"),
        ]
        file.write_text(HEAD + "".join(entries))
        upload(HEAD + entries[0] + entry("CVE-9", "2026-12-31", "old/.*") + entries[1])
        result = run("check-risks", str(file), width=120)
        assert result.exit_code == 1, result.stderr
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert lines[:-2] == [
            "LINE VULNERABILITY REPOSITORIES IMAGES EXPIRES REMARK",
            f"3 {CVE} 2 2026-12-31",
            "7 CVE-1 team/.* 1 2026-03-28 ends in 14 days",
            "12 CVE-1 api · 2026-12-31 matches nothing: remove it?, new",
            f"17 {CVE} team/api 1 2026-03-13 expired: remove it, or set a later date, new",
        ]
        assert result.stdout.splitlines()[-2:] == [
            "deployed, and not here: CVE-9 in old/.*",
            "4 accepted risks, 2 need attention. 3 images searched.",
        ]

    def test_names_the_images_for_programs(self, ledger: RegistryAndLedger, run: Run) -> None:
        upload(HEAD + entry(CVE, "2026-12-31", "team/auth"))
        result = run("check-risks", "-o", "json")
        assert result.exit_code == 0
        answer = json.loads(result.stdout)
        (checked,) = answer["entries"]
        (image,) = checked.pop("matching")
        assert image["repository"] == "team/auth"
        assert checked == {
            "line": 3,
            "vulnerability": CVE,
            "repositories": "team/auth",
            "reason": "not reachable",
            "expires": "2026-12-31",
            "accepted_by": "anna",
            "state": "applies",
            "images": 1,
            "repositories_matching": 1,
            "is_new": False,
            "spelling": None,
        }
        assert (answer["removed"], answer["images_searched"]) == ([], 3)
        header, row = run("check-risks", "-o", "csv").stdout.splitlines()
        assert header.startswith("line,vulnerability,repositories,")
        assert row.startswith(f"3,{CVE},team/auth,")

    @pytest.mark.parametrize(
        ("written", "spelling"),
        [
            (CVE.lower(), CVE),
            ("ghsa-ABCD", "GHSA-abcd"),
            ("cve-2025-10000", "CVE-2025-10000"),  # no finding has it; CVE has one spelling
        ],
    )
    def test_names_the_spelling_of_a_name_in_another_case(
        self, ledger: RegistryAndLedger, run: Run, written: str, spelling: str
    ) -> None:
        """The functions compare names with their capital letters, so the entry has no effect."""
        found = {("GHSA-abcd", "any"): KnownFinding("LOW", TODAY)}
        ledger.find("team/web", ledger.image("team/web", "v1"), found)
        upload(HEAD + entry(written, "2026-12-31"))
        result = run("check-risks", width=120)
        assert result.exit_code == 1
        assert f"matches nothing: its name is {spelling}" in result.stdout
        (checked,) = json.loads(run("check-risks", "-o", "json").stdout)["entries"]
        assert (checked["state"], checked["spelling"]) == ("matches_nothing", spelling)
        upload("")
        answer = run("accept", written, "--until", "2026-12-31", "--reason", "any", "--yes")
        assert answer.exit_code == 2
        assert " ".join(answer.stderr.split()) == (
            f"No finding has the name {written}: it is {spelling}, and an accepted risk must have "
            "the same capital letters. Nothing was changed."
        )
        assert uploaded() == ""

    def test_a_name_that_no_finding_has_stays_as_it_is(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        found = {("CVE-7", "any"): KnownFinding("CRITICAL", TODAY)}
        ledger.find("team/web", ledger.image("team/web", "v1"), found)
        upload(HEAD + entry("ghsa-none", "2026-12-31") + entry("CVE-2025-10000", "2026-12-31"))
        entries = json.loads(run("check-risks", "-o", "json").stdout)["entries"]
        assert [each["spelling"] for each in entries] == [None, None]

    def test_a_pattern_that_takes_too_long_is_not_applied(
        self, ledger: RegistryAndLedger, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("runtime.patterns.MOST_SECONDS", 0.0)
        upload(HEAD + entry(CVE, "2026-12-31", "(a+)+"))
        result = run("check-risks", width=120)
        assert result.exit_code == 1
        assert "not applied: its pattern takes too long" in result.stdout

    @pytest.mark.parametrize(
        "pattern",
        [
            "(?i)TEAM/.*",  # a flag is accepted only where a pattern begins
            "team/(?=a)(api|auth)",
            "(?i)(team|data)/(a|x|y).*.*",  # matched in a process of its own
            "(?x) team/ .* # of the platform team",
        ],
    )
    def test_a_pattern_matches_as_in_the_functions(
        self, ledger: RegistryAndLedger, run: Run, pattern: str
    ) -> None:
        upload(HEAD + entry(CVE, "2026-12-31", f'"{pattern}"'))
        for name in ("team/api", "team/auth"):
            assert AcceptedRisks.read(uploaded()).in_force(name, TODAY).by_vulnerability
        result = run("check-risks", "-o", "json")
        assert result.exit_code == 0, result.stderr
        (only,) = json.loads(result.stdout)["entries"]
        assert (only["state"], only["images"]) == ("applies", 2)

    def test_says_what_could_not_be_read(
        self, ledger: RegistryAndLedger, unreadable: str, run: Run
    ) -> None:
        """An entry may match what cannot be read, so no one is asked to remove it."""
        upload(HEAD + entry("CVE-9", "2026-12-31") + entry(CVE, "2026-12-31"))
        result = run("check-risks", width=120)
        assert result.exit_code == 4
        assert result.stderr == unreadable
        assert "matches nothing that could be read" in result.stdout
        assert "remove it" not in result.stdout
        answer = json.loads(run("check-risks", "-o", "json").stdout)
        assert [each["state"] for each in answer["entries"]] == ["unknown", "applies"]
        assert answer["is_complete"] is False

    def test_an_entry_may_match_an_image_whose_findings_have_no_names(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        digest = ledger.image("team/new", "v1")
        ledger.scan("team/new", digest, at=NOW, severities={"CRITICAL": 9})
        upload(HEAD + entry("CVE-9", "2026-12-31") + entry(CVE, "2026-12-31"))
        result = run("check-risks", "-o", "json")
        assert result.exit_code == 4
        assert result.stderr == (
            "1 image could not be searched: the findings of the last scan are known by number "
            "alone.\n"
        )
        answer = json.loads(result.stdout)
        assert [each["state"] for each in answer["entries"]] == ["unknown", "applies"]
        assert answer["is_complete"] is False
        upload(HEAD + entry(CVE, "2026-12-31") + entry("CVE-9", "2026-12-31", "team/api"))
        assert run("check-risks").exit_code == 1

    def test_does_not_count_what_an_earlier_scan_has_found(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        """The names that were read before stay in the ledger when only numbers are known."""
        known_by_number = f"team/auth@{ledger.image('team/auth', 'v1')}"
        ledger.scan(*known_by_number.split("@"), at=NOW, severities={"CRITICAL": 9})
        upload(HEAD + entry(CVE, "2026-12-31") + entry(CVE, "2026-12-31", "team/auth"))
        result = run("check-risks", "-o", "json")
        assert result.exit_code == 4
        assert result.stderr == (
            f"Whether {known_by_number} has {CVE} is not known: the findings of its last scan are "
            "known by number alone.\n"
        )
        answer = json.loads(result.stdout)
        assert answer["is_complete"] is False
        assert [(each["state"], each["images"]) for each in answer["entries"]] == [
            ("applies", 1),
            ("unknown", 0),
        ]

    def test_counts_what_the_last_scan_that_completed_has_found(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        """The findings of the scan before still apply to an image whose last scan failed."""
        ledger.scan("team/auth", ledger.image("team/auth", "v1"), at=NOW, status="FAILED")
        upload(HEAD + entry(CVE, "2026-12-31", "team/auth"))
        assert run("check-risks").exit_code == 0

    def test_an_image_that_no_entry_is_about_leaves_nothing_open(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        ledger.scan("team/auth", ledger.image("team/auth", "v1"), at=NOW, severities={"LOW": 1})
        upload(
            HEAD + entry(CVE, "2026-12-31", "team/api") + entry("CVE-9", "2026-12-31", "data/.*")
        )
        result = run("check-risks", "-o", "json")
        assert (result.exit_code, result.stderr) == (1, "")
        states = [each["state"] for each in json.loads(result.stdout)["entries"]]
        assert states == ["applies", "matches_nothing"]

    @pytest.mark.parametrize("text", [None, "", "# nothing\n", "accepted_risks: []\n"])
    def test_no_entry_is_no_fault(
        self, ledger: RegistryAndLedger, run: Run, text: str | None
    ) -> None:
        if text is not None:
            upload(text)
        result = run("check-risks")
        assert result.exit_code == 0
        assert result.stdout == "0 accepted risks. 3 images searched.\n"

    def test_names_the_line_of_a_fault(
        self, stack: StackInMemory, run: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "risks.yaml"
        file.write_text(HEAD + entry("CVE-1", "soon"))
        result = run("check-risks", str(file))
        assert result.exit_code == 1
        assert result.stdout.startswith("accepted-risks.yaml, line 5: expires of entry 1 (CVE-1)")
        answer = json.loads(run("check-risks", str(file), "-o", "json").stdout)
        assert answer["problem"].startswith("accepted-risks.yaml, line 5")
        assert run("check-risks", str(file), "-o", "csv").stdout.startswith("document,problem\n")

    def test_compares_with_nothing_when_the_deployed_document_is_not_valid(
        self, ledger: RegistryAndLedger, run: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "risks.yaml"
        file.write_text(HEAD + entry(CVE, "2026-12-31"))
        upload("accepted_risks: 7")
        result = run("check-risks", str(file), "-o", "json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["entries"][0]["is_new"] is True

    def test_says_which_documents_cannot_be_used(
        self, stack: StackInMemory, run: Run, tmp_path: Path
    ) -> None:
        upload("#" * 300_000)
        assert "must not be larger than 256 KiB." in run("check-risks").stdout
        missing = run("check-risks", str(tmp_path / "missing.yaml"))
        assert (missing.exit_code, missing.stdout) == (2, "")
        assert "cannot be read: No such file" in missing.stderr
        (tmp_path / "latin").write_bytes(b"\xff")
        assert "must be a text in UTF-8." in run("check-risks", str(tmp_path / "latin")).stdout

    def test_warns_where_accepted_risks_have_no_effect(
        self, ledger: RegistryAndLedger, stack: StackInMemory, run: Run
    ) -> None:
        """The names that were read before IncludeFindings was set to false stay for a while."""
        stack.parameters["IncludeFindings"] = "false"
        assert run("check-risks").exit_code == 0
        upload(HEAD + entry(CVE, "2026-12-31"))
        result = run("check-risks", width=120)
        assert result.exit_code == 4
        assert result.stderr == (
            "Accepted risks have no effect: the stack has IncludeFindings=false.\n"
            "Which images have a vulnerability is not known: the stack has IncludeFindings=false, "
            "so that findings are known by number alone.\n"
        )
        assert "matches nothing that could be read" in result.stdout


def accept(run: Run, *more: str, **answers: Any) -> Any:
    reason = "not reachable: TLS ends at the proxy, isn't it"
    return run("accept", CVE, "--until", "2026-12-31", "--reason", reason, *more, **answers)


class TestAccept:
    def test_adds_an_entry_and_leaves_the_rest_as_it_is(
        self, ledger: RegistryAndLedger, run: Run
    ) -> None:
        before = HEAD + entry("CVE-1", "2026-12-31") + "    # the end\n"
        upload(before)
        result = accept(run, "--in", "team/.*", "--yes")
        assert result.exit_code == 0, result.stderr
        added = (
            f"  - vulnerability: {CVE}\n    repositories: 'team/.*'\n"
            "    reason: 'not reachable: TLS ends at the proxy, isn''t it'\n"
            "    expires: 2026-12-31\n    accepted_by: '123456789012'\n"
        )
        shown = result.stderr
        assert "Matches now: 2 images in 2 repositories: team/api (1), team/auth (1)" in shown
        assert f"+  - vulnerability: {CVE}\n" in shown
        after = uploaded()
        assert after.startswith(before)
        risk = AcceptedRisks.read(after).entries[-1]
        assert (risk.vulnerability, risk.repositories) == (CVE, "team/.*")
        assert risk.reason == "not reachable: TLS ends at the proxy, isn't it"
        assert after.removeprefix(before).splitlines()[:4] == added.splitlines()[:4]
        assert "Written. It takes effect within 5 minutes." in result.stdout
        versions = boto3.client("s3").list_object_versions(Bucket="run-bucket")["Versions"]
        assert len(versions) == 2

    def test_says_what_could_not_be_read(
        self, ledger: RegistryAndLedger, unreadable: str, run: Run
    ) -> None:
        result = accept(run, "--in", "data/.*", "--yes", "-o", "json")
        assert result.exit_code == 4
        assert result.stderr.startswith(f"{unreadable}Matches nothing that could be read.\n")
        answer = json.loads(result.stdout)
        assert answer["is_complete"] is False

    def test_says_what_is_known_by_number_alone(self, ledger: RegistryAndLedger, run: Run) -> None:
        digest = ledger.image("team/auth", "v1")
        ledger.scan("team/auth", digest, at=NOW, severities={"CRITICAL": 9})
        result = accept(run, "--yes", "-o", "json")
        assert result.exit_code == 4
        assert result.stderr.startswith(f"Whether team/auth@{digest} has {CVE} is not known: ")
        assert "Matches now: 1 image in 1 repository: team/api (1)\n" in result.stderr
        answer = json.loads(result.stdout)
        assert (answer["images"], answer["is_complete"]) == (1, False)

    def test_makes_the_document(self, stack: StackInMemory, run: Run) -> None:
        result = accept(run, "--yes", "-o", "json")
        assert result.exit_code == 0, result.stderr
        assert "Matches nothing now." in result.stderr
        answer = json.loads(result.stdout)
        assert answer["images"] == 0
        assert uploaded().startswith(f"accepted_risks:\n  - vulnerability: {CVE}\n")

    def test_writes_nothing_that_was_not_confirmed(self, stack: StackInMemory, run: Run) -> None:
        upload(HEAD)
        assert_declined(accept(run, env=TERMINAL, given="n\n"))
        assert uploaded() == HEAD

    def test_overwrites_no_change_of_another_operator(
        self, stack: StackInMemory, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload(HEAD)
        other = HEAD + entry("CVE-1", "2026-12-31")

        def confirm(*_: object) -> None:
            upload(other)

        monkeypatch.setattr(Call, "confirm", confirm)
        result = accept(run)
        assert result.exit_code == 3
        assert result.stderr.endswith("has been changed meanwhile: run the command again.\n")
        assert uploaded() == other

    def test_reports_every_other_refusal(
        self, stack: StackInMemory, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def confirm(*_: object) -> None:
            upload(HEAD)

        monkeypatch.setattr(Call, "confirm", confirm)
        monkeypatch.setattr("cli.risks._CHANGED_MEANWHILE", set())
        result = accept(run)
        assert result.exit_code == 3
        assert "PutObject: PreconditionFailed" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--until", "soon"], "--until must be a day such as 2027-03-31, not soon."),
            (["--until", "2026-03-13"], "--until must be today or later, not 2026-03-13."),
            (["--in", ""], "--in is empty: give a pattern, or leave --in out"),
            (["--in", " "], "--in is empty"),
            (["--in", "team/("], "must be a regular expression such as team/.*"),
            (["--reason", " "], "reason of entry 1"),
        ],
    )
    def test_refuses_what_no_document_may_have(
        self, stack: StackInMemory, run: Run, arguments: list[str], words: str
    ) -> None:
        result = accept(run, "--yes", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr

    def test_refuses_a_pattern_that_the_functions_would_not_apply(
        self, ledger: RegistryAndLedger, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("runtime.patterns.MOST_SECONDS", 0.0)
        result = accept(run, "--yes", "--in", "(a+)+")
        assert result.exit_code == 2
        assert "--in is not applied by the functions" in result.stderr

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (
                "accepted_risks: 7",
                "The deployed document is not valid: accepted-risks.yaml, line 1",
            ),
            (HEAD + entry(CVE, "2026-04-01"), "which expires on 2026-04-01: change its date"),
            (
                "accepted_risks: [{vulnerability: CVE-1, reason: a, expires: 2026-12-31, "
                "accepted_by: b}]",
                "has a form to which no entry can be added.",
            ),
        ],
    )
    def test_leaves_a_document_that_it_cannot_add_to(
        self, stack: StackInMemory, run: Run, text: str, words: str
    ) -> None:
        upload(text)
        result = accept(run, "--yes")
        assert result.exit_code == 3
        assert words in result.stderr
        assert uploaded() == text


RISK = AcceptedRisk(CVE, "it's: #1 \\d", date(2026, 12, 31), "anna", "team/.*")
FIRST = (
    "- vulnerability: CVE-1\n  reason: >\n    two\n    lines\n  expires: 2026-12-31\n"
    "  accepted_by: b"
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "accepted_risks:",
        "accepted_risks: []  # none\n",
        "accepted_risks: null\n# the end\n",
        "accepted_risks:\n#  - vulnerability: CVE-1\n",
        f"accepted_risks:\n{FIRST}",
        "accepted_risks:\n" + "".join(f"    {line}\n" for line in FIRST.splitlines()),
        "accepted_risks:\n  -\n    vulnerability: CVE-1\n    expires: 2026-12-31\n"
        "    accepted_by: b\n    reason: |\n      - a\n",
        "---\naccepted_risks:\n-\n  vulnerability: CVE-1\n  reason: a\n  expires: 2026-12-31\n"
        "  accepted_by: b\n- " + FIRST.removeprefix("- ").replace("CVE-1", "CVE-2"),
    ],
)
def test_a_document_keeps_its_form(text: str) -> None:
    added = with_entry(text, RISK)
    assert added is not None
    assert AcceptedRisks.read(added).entries == (*AcceptedRisks.read(text).entries, RISK)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in added.splitlines() if line.startswith("#")] == comments
    assert len(lines_of(added)) == len(AcceptedRisks.read(added).entries)


def test_an_ended_document_takes_no_entry() -> None:
    assert with_entry(f"accepted_risks:\n{FIRST}\n...\n", RISK) is None


def test_an_entry_that_no_document_may_have_is_refused() -> None:
    with pytest.raises(UnusableAcceptedRisks, match="one name without spaces"):
        with_entry("", AcceptedRisk("CVE 1", "a", date(2026, 12, 31), "anna"))


def test_a_word_of_yaml_is_quoted() -> None:
    risk = AcceptedRisk("No", "null", date(2026, 12, 31), "y")
    added = with_entry("", risk)
    assert added is not None
    assert AcceptedRisks.read(added).entries == (risk,)


def test_nothing_is_listed_in_an_empty_document() -> None:
    assert lines_of("") == ()
    assert lines_of("accepted_risks:\n") == ()
