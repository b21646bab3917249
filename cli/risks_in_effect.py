"""The accepted risks in effect, as the functions have them, read without writing anything."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from accepted_risks.risks import (
    DOCUMENT,
    MOST_BYTES,
    TOO_LARGE,
    AcceptedRisk,
    AcceptedRisks,
    UnusableAcceptedRisks,
)
from cli.stack import Stack
from ledger.bucket import RunBucket
from ledger.risk_records import RiskRecords
from ledger.table import Table
from reporting.text import visible
from runtime.patterns import QUICK, PatternTooSlow, matching_texts


@dataclass(frozen=True)
class RisksInEffect:
    """What is accepted. refusal: why the document is not in effect; empty if it is."""

    risks: AcceptedRisks
    refusal: str = ""


def risks_in_effect(stack: Stack) -> RisksInEffect:
    """Read the document; while it is invalid, the last valid one is in effect."""
    bucket = RunBucket(stack.client("s3"), stack.output("RunBucketName"))
    document = bucket.document(DOCUMENT, known=None, most=MOST_BYTES)
    try:
        if document is None or document.etag is None:
            return RisksInEffect(AcceptedRisks())
        if document.content is None:
            return RisksInEffect(_last_valid(stack), TOO_LARGE)
        return RisksInEffect(AcceptedRisks.read(document.content))
    except UnusableAcceptedRisks as error:
        return RisksInEffect(_last_valid(stack), str(error))


@dataclass(frozen=True)
class Acceptances:
    """What is accepted, by repository and vulnerability. remarks: which entries are not applied."""

    by_repository: Mapping[str, Mapping[str, AcceptedRisk]]
    remarks: tuple[str, ...] = ()


def acceptances(risks: AcceptedRisks, repositories: Collection[str], on: date) -> Acceptances:
    """Return what is accepted in some repositories, as the functions accept it in each of them."""
    patterns = dict.fromkeys(risk.repositories for risk in risks.entries if risk.repositories)
    matching: dict[str, list[str]] = {repository: [] for repository in repositories}
    remarks = list[str]()
    for pattern in patterns:
        try:
            found = matching_texts(pattern, repositories, whole=True)
        except PatternTooSlow:
            remarks.append(
                f"Accepted risks in {visible(pattern)} are not applied: it must be {QUICK}."
            )
            continue
        for repository in found:
            matching[repository].append(pattern)
    accepted = {name: risks.accepted_where(which, on) for name, which in matching.items()}
    return Acceptances(accepted, tuple(remarks))


def _last_valid(stack: Stack) -> AcceptedRisks:
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    kept = RiskRecords(table).last_valid()
    try:
        return AcceptedRisks.read(kept) if kept else AcceptedRisks()
    except UnusableAcceptedRisks:  # what an older version found valid
        return AcceptedRisks()
