import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from ledger.deliveries import Deliveries, DeliveryClaim, DeliveryKey
from ledger.digest_entries import DigestEntry, sort_key
from ledger.notified_images import Delivery, NotifiedImages
from runtime.messages import encode
from send_digest import forget_digest as module
from send_digest.contents import ReportedImage
from send_digest.delivered_digest import DigestNotDelivered
from send_digest.digest import UnfinishedDigest
from send_digest.forget_digest import FinishedDigest, Ledger, SentDigest, forget_digest
from tests.support.digests import FakeDigestEntries, any_change, any_entry
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket
from tests.support.template import ROOT

TOLD = SentDigest("DAILY", "digest-1", images=1, messages=6, is_resumed=False)


AT = "2026-03-14T07:00:09Z"
DELIVERED = DeliveryClaim(claimed_at=AT, delivered_at=AT)
KEPT = DeliveryClaim(claimed_at=AT, kept_at=AT)
CLAIMED = DeliveryClaim(claimed_at=AT)
OF_0_3_0 = DeliveryClaim()
REPORTED = ReportedImage("team/api", f"sha256:{1:064x}", revision=3, expires_at=9)


class FakeClaims:
    """The claims on the deliveries of digest-1, by channel."""

    def __init__(self, **claims: DeliveryClaim) -> None:
        self._claims = {DeliveryKey("digest-1", name): claim for name, claim in claims.items()}

    def claims(self, deliveries: Collection[DeliveryKey]) -> Mapping[DeliveryKey, DeliveryClaim]:
        return {each: self._claims[each] for each in deliveries if each in self._claims}


class FakeImages:
    """What was delivered about images, by image and channel."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, str, str], Delivery] = {}

    def note(
        self,
        repository: str,
        image_digest: str,
        channel: str,
        delivery: Delivery,
        *,
        expires_at: int,
    ) -> None:
        assert expires_at == REPORTED.expires_at
        self.noted[repository, image_digest, channel] = delivery


def ledger_of(
    entries: FakeDigestEntries, images: FakeImages | None = None, **claims: DeliveryClaim
) -> Ledger:
    return Ledger(
        entries.as_entries,
        cast("Deliveries", FakeClaims(**claims)),
        cast("NotifiedImages", images or FakeImages()),
    )


def sent_to(*channels: str, reported: ReportedImage = REPORTED) -> FakeBucket:
    """Keep a digest with one change of version 0.3.0 that was sent to some channels."""
    deliveries = [{"message_id": "digest-1", "channel": each, "content": {}} for each in channels]
    digest = UnfinishedDigest(1, 2, deliveries, (any_entry(1),), (), (reported,))
    bucket = FakeBucket()
    bucket.write_unfinished_digest("digest-1", encode(digest))
    return bucket


def bucket_of(*entries: DigestEntry) -> FakeBucket:
    bucket = FakeBucket()
    bucket.write_unfinished_digest("digest-1", encode(UnfinishedDigest(1, 6, (), entries)))
    return bucket


def test_removes_what_was_sent_and_what_cancelled_out() -> None:
    entries = FakeDigestEntries(any_entry(1), any_entry(2), any_entry(3))
    entries.begin("DAILY", "digest-1", instead_of=None)
    bucket = bucket_of(any_entry(1), any_entry(3))
    sent = forget_digest(TOLD, ledger=ledger_of(entries), bucket=bucket.as_bucket)
    assert sent == FinishedDigest("DAILY", "digest-1", 1, 6, is_resumed=False, removed=2)
    assert entries.kept == [any_entry(2)]
    assert entries.begun == {}


def test_removes_changes_by_their_keys() -> None:
    sent, since = any_change(1), any_change(1, minutes=1)
    entries = FakeDigestEntries(sent, since, any_entry(2))
    unfinished = UnfinishedDigest(1, 6, (), (any_entry(2),), (sort_key(sent),))
    bucket = FakeBucket()
    bucket.write_unfinished_digest("digest-1", encode(unfinished))
    finished = forget_digest(TOLD, ledger=ledger_of(entries), bucket=bucket.as_bucket)
    assert finished.removed == 2
    assert (entries.changes, entries.kept) == ([since], [])


def test_leaves_alone_the_digest_that_is_under_way_by_now() -> None:
    entries = FakeDigestEntries()
    entries.begin("DAILY", "digest-2", instead_of=None)
    forget_digest(TOLD, ledger=ledger_of(entries), bucket=bucket_of(any_entry(1)).as_bucket)
    assert entries.begun == {"DAILY": "digest-2"}


def test_answers_the_state_machine_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    event: Any = json.loads((ROOT / "events/send_digest/forget_digest.json").read_text())
    bucket = FakeBucket()
    bucket.write_unfinished_digest(
        event["digest"], encode(UnfinishedDigest(1, 6, (), (any_entry(1),)))
    )
    monkeypatch.setattr(module, "digest_entries", lambda table: FakeDigestEntries(any_entry(1)))
    monkeypatch.setattr(module, "deliveries", lambda table: FakeClaims())
    monkeypatch.setattr(module, "notified_images", lambda table: FakeImages())
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    answer: Any = module.handler(event, any_lambda_context())
    assert (answer["mode"], answer["removed"]) == ("DAILY", 1)


@pytest.mark.parametrize(
    ("claims", "unsettled"),
    [
        ({}, "SLACK, SNS"),
        ({"SNS": DELIVERED}, "SLACK"),
        ({"SNS": DELIVERED, "SLACK": CLAIMED}, "SLACK"),
        ({"SNS": CLAIMED, "SLACK": KEPT}, "SNS"),
    ],
)
def test_forgets_nothing_before_every_message_is_delivered_or_kept(
    claims: dict[str, DeliveryClaim], unsettled: str
) -> None:
    entries, images = FakeDigestEntries(any_entry(1)), FakeImages()
    entries.begin("DAILY", "digest-1", instead_of=None)
    ledger = ledger_of(entries, images, **claims)
    with pytest.raises(DigestNotDelivered) as raised:
        forget_digest(TOLD, ledger=ledger, bucket=sent_to("SNS", "SLACK").as_bucket)
    assert str(raised.value) == f"digest-1 is not yet delivered to {unsettled}"
    assert (entries.kept, entries.begun) == ([any_entry(1)], {"DAILY": "digest-1"})
    assert images.noted == {}


@pytest.mark.parametrize("slack", [KEPT, OF_0_3_0], ids=["kept", "claimed by 0.3.0"])
def test_notes_at_each_image_what_was_delivered(slack: DeliveryClaim) -> None:
    """What is in the dead-letter queue is settled, and not delivered; 0.3.0 has noted no time."""
    entries, images = FakeDigestEntries(any_entry(1)), FakeImages()
    ledger = ledger_of(entries, images, SNS=DELIVERED, SLACK=slack)
    forget_digest(TOLD, ledger=ledger, bucket=sent_to("SNS", "SLACK").as_bucket)
    assert entries.kept == []
    delivery = Delivery("digest-1", datetime.fromisoformat(AT), revision=3)
    assert images.noted == {(REPORTED.repository, REPORTED.image_digest, "SNS"): delivery}


def test_notes_nothing_at_an_image_of_0_3_0() -> None:
    entries, images = FakeDigestEntries(any_entry(1)), FakeImages()
    old = replace(REPORTED, revision=0, expires_at=0)
    bucket = sent_to("SNS", reported=old).as_bucket
    forget_digest(TOLD, ledger=ledger_of(entries, images, SNS=DELIVERED), bucket=bucket)
    assert (entries.kept, images.noted) == ([], {})


def test_notes_nothing_where_nothing_was_delivered() -> None:
    entries, images = FakeDigestEntries(any_entry(1)), FakeImages()
    ledger = ledger_of(entries, images, SNS=KEPT)
    forget_digest(TOLD, ledger=ledger, bucket=sent_to("SNS").as_bucket)
    assert (entries.kept, images.noted) == ([], {})
