"""Remove a digest's entries from the ledger, once it is delivered or has nothing to send."""

from dataclasses import dataclass

from ledger.bucket import RunBucket, run_bucket
from ledger.deliveries import Deliveries, deliveries
from ledger.digest_entries import DigestEntries, digest_entries
from ledger.notified_images import NotifiedImages, notified_images
from runtime.entrypoint import entrypoint
from runtime.messages import decode
from send_digest.delivered_digest import delivered_messages, note_deliveries
from send_digest.digest import UnfinishedDigest
from send_digest.settings import ForgetDigestSettings


@dataclass(frozen=True)
class SentDigest:
    """The input of ForgetDigest: a digest whose deliveries NotifyScan has."""

    mode: str
    digest: str
    images: int
    messages: int
    is_resumed: bool


@dataclass(frozen=True)
class FinishedDigest:
    """The output of ForgetDigest. removed: number of entries that were removed from the ledger."""

    mode: str
    digest: str
    images: int
    messages: int
    is_resumed: bool
    removed: int


@dataclass(frozen=True)
class Ledger:
    """The ledger table: the entries of digests, the claims on deliveries, and notified images."""

    entries: DigestEntries
    deliveries: Deliveries
    notified: NotifiedImages


def forget_digest(sent: SentDigest, *, ledger: Ledger, bucket: RunBucket) -> FinishedDigest:
    """Remove what was delivered from the ledger, and note the delivery at each image. Idempotent.

    What has changed since the digest was composed is left for the next one. Raises
    DigestNotDelivered until every message is delivered, or kept in the dead-letter queue.
    """
    kept = decode(UnfinishedDigest, bucket.unfinished_digest(sent.digest))
    delivered = delivered_messages(sent.digest, kept.claimed, ledger.deliveries)
    note_deliveries(kept.reported, delivered, ledger.notified)
    ledger.entries.forget(sent.mode, kept.changes, kept.entries)
    ledger.entries.finish(sent.mode, sent.digest)
    return FinishedDigest(
        mode=sent.mode,
        digest=sent.digest,
        images=sent.images,
        messages=sent.messages,
        is_resumed=sent.is_resumed,
        removed=len(kept.changes) + len(kept.entries),
    )


@entrypoint(SentDigest)
def handler(sent: SentDigest) -> FinishedDigest:
    """Run as ForgetDigest, once NotifyScan has the deliveries."""
    settings = ForgetDigestSettings.load()
    table = settings.ledger_table
    return forget_digest(
        sent,
        ledger=Ledger(digest_entries(table), deliveries(table), notified_images(table)),
        bucket=run_bucket(settings.run_bucket),
    )
