import json
from typing import Any

import pytest

from ledger.digest_entries import DigestEntry, sort_key
from runtime.messages import encode
from send_digest import forget_digest as module
from send_digest.digest import UnfinishedDigest
from send_digest.forget_digest import FinishedDigest, SentDigest, forget_digest
from tests.support.digests import FakeDigestEntries, any_change, any_entry
from tests.support.engine import any_lambda_context
from tests.support.fakes import FakeBucket
from tests.support.template import ROOT

TOLD = SentDigest("DAILY", "digest-1", images=1, messages=6, is_resumed=False)


def bucket_of(*entries: DigestEntry) -> FakeBucket:
    bucket = FakeBucket()
    bucket.write_unfinished_digest("digest-1", encode(UnfinishedDigest(1, 6, (), entries)))
    return bucket


def test_removes_what_was_sent_and_what_cancelled_out() -> None:
    entries = FakeDigestEntries(any_entry(1), any_entry(2), any_entry(3))
    entries.begin("DAILY", "digest-1", instead_of=None)
    bucket = bucket_of(any_entry(1), any_entry(3))
    sent = forget_digest(TOLD, entries=entries.as_entries, bucket=bucket.as_bucket)
    assert sent == FinishedDigest("DAILY", "digest-1", 1, 6, is_resumed=False, removed=2)
    assert entries.kept == [any_entry(2)]
    assert entries.begun == {}


def test_removes_changes_by_their_keys() -> None:
    sent, since = any_change(1), any_change(1, minutes=1)
    entries = FakeDigestEntries(sent, since, any_entry(2))
    unfinished = UnfinishedDigest(1, 6, (), (any_entry(2),), (sort_key(sent),))
    bucket = FakeBucket()
    bucket.write_unfinished_digest("digest-1", encode(unfinished))
    finished = forget_digest(TOLD, entries=entries.as_entries, bucket=bucket.as_bucket)
    assert finished.removed == 2
    assert (entries.changes, entries.kept) == ([since], [])


def test_leaves_alone_the_digest_that_is_under_way_by_now() -> None:
    entries = FakeDigestEntries()
    entries.begin("DAILY", "digest-2", instead_of=None)
    forget_digest(TOLD, entries=entries.as_entries, bucket=bucket_of(any_entry(1)).as_bucket)
    assert entries.begun == {"DAILY": "digest-2"}


def test_answers_the_state_machine_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    event: Any = json.loads((ROOT / "events/send_digest/forget_digest.json").read_text())
    bucket = FakeBucket()
    bucket.write_unfinished_digest(
        event["digest"], encode(UnfinishedDigest(1, 6, (), (any_entry(1),)))
    )
    monkeypatch.setattr(module, "digest_entries", lambda table: FakeDigestEntries(any_entry(1)))
    monkeypatch.setattr(module, "run_bucket", lambda name: bucket)
    answer: Any = module.handler(event, any_lambda_context())
    assert (answer["mode"], answer["removed"]) == ("DAILY", 1)
