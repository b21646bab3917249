"""Accepted risks as the functions have them in effect, read by an operator."""

from datetime import date

import boto3
import pytest

from accepted_risks.risks import MOST_BYTES, TOO_LARGE, AcceptedRisks
from cli.risks_in_effect import acceptances, risks_in_effect
from cli.stack import Account, Address, open_stack
from ledger.risk_records import RiskRecords
from ledger.table import Table
from tests.cli.conftest import StackInMemory

VALID = """
accepted_risks:
  - {vulnerability: CVE-1, reason: any, expires: 2026-12-31, accepted_by: jane}
  - {vulnerability: CVE-1, reason: shorter, expires: 2026-06-30, accepted_by: joe,
     repositories: team/.*}
  - {vulnerability: CVE-2, reason: any, expires: 2026-12-31, accepted_by: jane,
     repositories: team/.*}
  - {vulnerability: CVE-3, reason: any, expires: 2026-03-13, accepted_by: jane}
"""
SLOW = VALID + "  - {vulnerability: CVE-4, reason: a, expires: 2027-01-01, accepted_by: j, %s}"
DAY = date(2026, 3, 14)
REPOSITORIES = ("team/api", "steam/api", "team")


def put(text: str) -> None:
    boto3.client("s3").put_object(Bucket="run-bucket", Key="accepted-risks.yaml", Body=text)


def keep(text: str) -> None:
    RiskRecords(Table(boto3.client("dynamodb"), "ledger-table")).keep(text, "etag")


def read() -> tuple[AcceptedRisks, str]:
    address = Address("ecr-rescan")
    in_effect = risks_in_effect(open_stack(Account(address), address))
    return in_effect.risks, in_effect.refusal


def test_is_nothing_without_a_document(stack: StackInMemory) -> None:
    assert read() == (AcceptedRisks(), "")


def test_is_the_document(stack: StackInMemory) -> None:
    put(VALID)
    assert read() == (AcceptedRisks.read(VALID), "")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("accepted_risks: 5", "accepted_risks must be a list"),
        ("#" * (MOST_BYTES + 1), TOO_LARGE),
    ],
)
def test_is_the_last_valid_document_while_another_is_not_valid(
    stack: StackInMemory, text: str, refusal: str
) -> None:
    put(text)
    assert read()[0] == AcceptedRisks()
    keep(VALID)
    risks, said = read()
    assert risks == AcceptedRisks.read(VALID)
    assert refusal in said


def test_is_nothing_where_the_last_valid_document_is_no_longer_valid(stack: StackInMemory) -> None:
    put("accepted_risks: 5")
    keep("accepted_risks: 6")
    assert read()[0] == AcceptedRisks()


def test_accepts_in_each_repository_what_the_functions_accept() -> None:
    risks = AcceptedRisks.read(VALID)
    found = acceptances(risks, REPOSITORIES, DAY)
    assert found.remarks == ()
    for repository in REPOSITORIES:
        expected = risks.in_force(repository, DAY).by_vulnerability
        assert found.by_repository[repository] == expected
    assert [*found.by_repository["steam/api"]] == ["CVE-1"]
    assert found.by_repository["team/api"]["CVE-1"].accepted_by == "jane"


def test_names_an_entry_whose_pattern_takes_too_long() -> None:
    risks = AcceptedRisks.read(SLOW % "repositories: '(a+)+$'")
    found = acceptances(risks, [*REPOSITORIES, "a" * 60 + "b"], DAY)
    assert {*found.by_repository["team/api"]} == {"CVE-1", "CVE-2"}
    (remark,) = found.remarks
    assert remark.startswith("Accepted risks in (a+)+$ are not applied: it must be a regular")
