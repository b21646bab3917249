"""Compose a digest: one message per channel on all changes since the previous digest."""

from datetime import datetime

from ledger.bucket import RunBucket, run_bucket
from ledger.digest_entries import AFTER_RUN, DAILY, DigestEntries, digest_entries
from reporting.channels.document import document
from reporting.channels.in_use import ChannelsInUse, channels_in_use
from reporting.decision import NotifyOn
from reporting.digest_wording import message_of_digest
from runtime import clock, settings
from runtime.entrypoint import entrypoint
from runtime.messages import decode, encode
from send_digest.digest import (
    ComposedDigest,
    DigestRequest,
    Told,
    images_to_tell,
    report_of,
    shortened,
)


def compose_digest(
    request: DigestRequest,
    *,
    channels: ChannelsInUse,
    notify_on: frozenset[NotifyOn],
    entries: DigestEntries,
    bucket: RunBucket,
    now: datetime,
) -> ComposedDigest:
    """Resume the digest that is under way, or compose one if there is none.

    Raises DigestAlreadyBegun when another execution was faster; a retry resumes its digest.
    """
    for mode in (AFTER_RUN, DAILY):
        begun = entries.under_way(mode)
        if begun and (kept := bucket.unfinished_digest(begun)):
            return _composed(request, mode, begun, decode(Told, kept))
    entries.adopt(DAILY, left_in=AFTER_RUN)
    found = tuple(entries.entries_of(DAILY))
    if not found:
        return ComposedDigest(DAILY)
    told = Told(0, 0, (), found)
    if images := images_to_tell(found, notify_on):
        key = bucket.digest_key(request.name)
        report = report_of(images, request, bucket=bucket.name, document=key, now=now)
        short = shortened(report)
        message = message_of_digest(short)
        deliveries = channels.digest(message, short, now=now)
        bucket.write_digest(request.name, document(message, report))
        told = Told(len(images), len(deliveries), deliveries, found)
    bucket.write_unfinished_digest(request.name, encode(told))
    entries.begin(DAILY, request.name, instead_of=begun)
    return _composed(request, DAILY, request.name, told)


def _composed(request: DigestRequest, mode: str, digest: str, told: Told) -> ComposedDigest:
    taken_up, messages = digest != request.name, told.messages
    return ComposedDigest(mode, digest, told.images, messages, taken_up, told.deliveries)


@entrypoint(DigestRequest)
def handler(request: DigestRequest) -> ComposedDigest:
    """Run as ComposeDigest, first state of SendDigest."""
    return compose_digest(
        request,
        channels=channels_in_use(),
        notify_on=settings.choices("NOTIFY_ON", NotifyOn),
        entries=digest_entries(settings.text("LEDGER_TABLE")),
        bucket=run_bucket(settings.text("RUN_BUCKET")),
        now=clock.now(),
    )
