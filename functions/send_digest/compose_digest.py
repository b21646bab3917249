"""Compose a digest: one message per channel on everything that changed since the last one."""

from datetime import datetime

from ledger.bucket import RunBucket, run_bucket
from ledger.digest_entries import AFTER_RUN, DAILY, DigestEntries, digest_entries
from reporting.channels.document import document
from reporting.channels.in_use import ChannelsInUse, channels_in_use
from reporting.decision import NotifyOn
from reporting.digest_wording import message_of_digest
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.messages import decode, encode
from send_digest.digest import (
    ComposedDigest,
    DigestRequest,
    UnfinishedDigest,
    images_to_list,
    report_of,
    shortened,
)
from send_digest.settings import ComposeDigestSettings


def compose_digest(
    request: DigestRequest,
    *,
    channels: ChannelsInUse,
    notify_on: frozenset[NotifyOn],
    entries: DigestEntries,
    bucket: RunBucket,
    now: datetime,
) -> ComposedDigest:
    """Resume the digest that is not finished; compose one if there is none.

    Raises DigestAlreadyBegun if another execution has begun one meanwhile: a retry resumes that.
    """
    for mode in (AFTER_RUN, DAILY):
        begun = entries.under_way(mode)
        if begun and (kept := bucket.unfinished_digest(begun)):
            return ComposedDigest.of(request, mode, begun, decode(UnfinishedDigest, kept))
    entries.adopt(DAILY, left_in=AFTER_RUN)
    found = tuple(entries.entries_of(DAILY))
    if not found:
        return ComposedDigest(DAILY)
    composed = UnfinishedDigest(0, 0, (), found)
    if images := images_to_list(found, notify_on):
        key = bucket.digest_key(request.name)
        report = report_of(images, request, bucket=bucket.name, document=key, now=now)
        short = shortened(report)
        message = message_of_digest(short)
        deliveries = channels.digest(message, short, now=now)
        bucket.write_digest(request.name, document(message, report))
        composed = UnfinishedDigest(len(images), len(deliveries), deliveries, found)
    bucket.write_unfinished_digest(request.name, encode(composed))
    entries.begin(DAILY, request.name, instead_of=begun)
    return ComposedDigest.of(request, DAILY, request.name, composed)


@entrypoint(DigestRequest)
def handler(request: DigestRequest) -> ComposedDigest:
    """Run as ComposeDigest, first state of SendDigest."""
    settings = ComposeDigestSettings.load()
    return compose_digest(
        request,
        channels=channels_in_use(settings),
        notify_on=settings.notify_on,
        entries=digest_entries(settings.ledger_table),
        bucket=run_bucket(settings.run_bucket),
        now=clock.now(),
    )
