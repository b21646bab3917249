"""Remove a digest's entries from the ledger, once it is sent or has nothing to send."""

from dataclasses import dataclass

from ledger.bucket import RunBucket, run_bucket
from ledger.digest_entries import DigestEntries, digest_entries
from runtime.entrypoint import entrypoint
from runtime.messages import decode
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


def forget_digest(sent: SentDigest, *, entries: DigestEntries, bucket: RunBucket) -> FinishedDigest:
    """Remove what was sent from the ledger. Idempotent.

    What has changed since the digest was composed is left for the next one.
    """
    kept = decode(UnfinishedDigest, bucket.unfinished_digest(sent.digest))
    entries.forget(sent.mode, kept.changes, kept.entries)
    entries.finish(sent.mode, sent.digest)
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
    return forget_digest(
        sent,
        entries=digest_entries(settings.ledger_table),
        bucket=run_bucket(settings.run_bucket),
    )
