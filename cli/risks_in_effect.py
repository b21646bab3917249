"""The accepted risks in effect, as the functions have them, read without writing anything."""

from dataclasses import dataclass

from accepted_risks.risks import (
    DOCUMENT,
    MOST_BYTES,
    TOO_LARGE,
    AcceptedRisks,
    UnusableAcceptedRisks,
)
from cli.stack import Stack
from ledger.bucket import RunBucket
from ledger.risk_records import RiskRecords
from ledger.table import Table


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


def _last_valid(stack: Stack) -> AcceptedRisks:
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    kept = RiskRecords(table).last_valid()
    try:
        return AcceptedRisks.read(kept) if kept else AcceptedRisks()
    except UnusableAcceptedRisks:  # what an older version found valid
        return AcceptedRisks()
