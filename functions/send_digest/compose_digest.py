"""Compose a digest: one message per channel on everything that changed since the last one."""

from dataclasses import replace
from datetime import datetime

from ledger.bucket import RunBucket, run_bucket
from ledger.digest_entries import AFTER_RUN, DAILY, DigestEntries, digest_entries
from reporting.channels.document import document
from reporting.channels.in_use import ChannelsInUse, channels_in_use
from reporting.channels.message_metrics import count_messages
from reporting.digest_wording import message_of_digest
from runtime import clock
from runtime.entrypoint import entrypoint
from runtime.messages import encode
from send_digest.contents import DigestPolicy, contents_of
from send_digest.digest import (
    ComposedDigest,
    DigestRequest,
    UnfinishedDigest,
    report_of,
    shortened,
)
from send_digest.settings import ComposeDigestSettings


def compose_digest(
    request: DigestRequest,
    *,
    channels: ChannelsInUse,
    policy: DigestPolicy,
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
            return ComposedDigest.of(request, mode, begun, UnfinishedDigest.resumed(kept, now))
    entries.adopt(DAILY, left_in=AFTER_RUN)
    contents = contents_of(tuple(entries.entries_of(DAILY)), entries.changes_of(DAILY), policy)
    if not contents.has_entries:
        return ComposedDigest(DAILY)
    composed = UnfinishedDigest.of(contents)
    if not contents.is_empty:
        report = report_of(contents, request, bucket, now)
        short = shortened(report)
        message = message_of_digest(short)
        sent = channels.digest(message, short, now=now)
        bucket.write_digest(request.name, document(message, report))
        composed = replace(composed, images=contents.count, messages=len(sent), deliveries=sent)
    bucket.write_unfinished_digest(request.name, encode(composed))
    entries.begin(DAILY, request.name, instead_of=begun)
    return ComposedDigest.of(request, DAILY, request.name, composed)


@entrypoint(DigestRequest)
def handler(request: DigestRequest) -> ComposedDigest:
    """Run as ComposeDigest, once nothing is unfinished."""
    settings = ComposeDigestSettings.load()
    digest = compose_digest(
        request,
        channels=channels_in_use(settings),
        policy=DigestPolicy(settings.notify_on, settings.remind_after),
        entries=digest_entries(settings.ledger_table),
        bucket=run_bucket(settings.run_bucket),
        now=clock.now(),
    )
    if isinstance(digest.deliveries, tuple):  # of a digest that is resumed, they are counted
        count_messages(each.channel for each in digest.deliveries)
    return digest
