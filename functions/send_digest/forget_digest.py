"""Remove a digest's entries from the ledger: those that were sent, and those not to be sent."""

from dataclasses import dataclass

from ledger.bucket import RunBucket, run_bucket
from ledger.digest_entries import DigestEntries, digest_entries
from runtime import settings
from runtime.entrypoint import entrypoint
from runtime.messages import decode
from send_digest.digest import Told


@dataclass(frozen=True)
class ToldDigest:
    """A digest whose messages are on their way."""

    mode: str
    digest: str
    images: int
    messages: int
    is_taken_up: bool


@dataclass(frozen=True)
class SentDigest:
    """A digest that is finished. forgotten: its entries, including those that cancelled out."""

    mode: str
    digest: str
    images: int
    messages: int
    is_taken_up: bool
    forgotten: int


def forget_digest(told: ToldDigest, *, entries: DigestEntries, bucket: RunBucket) -> SentDigest:
    """Remove the entries, and leave later changes to the next digest. Can run twice."""
    done = decode(Told, bucket.unfinished_digest(told.digest))
    entries.forget(told.mode, done.entries)
    entries.finish(told.mode, told.digest)
    return SentDigest(
        mode=told.mode,
        digest=told.digest,
        images=told.images,
        messages=told.messages,
        is_taken_up=told.is_taken_up,
        forgotten=len(done.entries),
    )


@entrypoint(ToldDigest)
def handler(told: ToldDigest) -> SentDigest:
    """Run as ForgetDigest, once NotifyScan has the messages."""
    entries = digest_entries(settings.text("LEDGER_TABLE"))
    return forget_digest(told, entries=entries, bucket=run_bucket(settings.text("RUN_BUCKET")))
