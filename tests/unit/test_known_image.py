"""What NotifyScan remembers, by what it reports: the ledger is one in memory.

Scans are compared by number here, as the thresholds of the stack count them; tests/unit/
test_decision_table.py and test_changes.py compare them by name.
"""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from accepted_risks.risks import AcceptedRisks
from ledger.changes import Cause, Change, ChangedFinding
from ledger.digest_entries import DigestChange, DigestImage
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_baselines import StoredImage, TagPointer
from ledger.image_records import Baseline, ImageRecord, ImageState, Note, RecordedScan
from ledger.known_findings import KnownFinding, KnownFindings
from ledger.platforms import Child
from notify_scan.known_image import KnownImage, recall
from notify_scan.new_baseline import MOST_NOTES
from notify_scan.notification import LATE, Notification
from notify_scan.scan_details import RETRIES
from registry.errors import EcrThrottled
from registry.findings import Finding
from reporting.changes import counted_unaccepted
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ImmediateFrom
from reporting.decision import NotificationPolicy, NotifyOn
from reporting.reports import Reason, ScanReport
from reporting.thresholds import Thresholds
from tests.support.clock import NOW
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DEFAULT_NOTIFY_ON,
    DEFAULT_THRESHOLDS,
    DIGEST,
    EVERY_CHANNEL,
    FakeScans,
    any_composer,
    any_finding,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

OTHER_DIGEST, THIRD_DIGEST = f"sha256:{8:064x}", f"sha256:{9:064x}"
HOUR = timedelta(hours=1)
SUBJECT = any_scan_report().subject
WAITING = {Channel.SLACK, Channel.TEAMS}


class People:
    """Who is told of one image after another, hour by hour."""

    def __init__(self, policy: NotificationPolicy | None = None, **given: Any) -> None:
        self.ledger = LedgerInMemory()
        self.now = NOW
        self.policy = policy or any_notification_policy()
        self._given = given
        self._events = 0

    def let_ecr_list(self, found: list[Finding]) -> None:
        """Let ECR list these findings from now on."""
        self._given["registry"] = FakeScans(found).as_registry

    def scan(self, found: int | str, **given: Any) -> Notification:
        """Let a scan end that has found so many critical findings, or has failed."""
        self.now += HOUR
        self._events += 1
        if isinstance(found, str):
            given |= {"status": found, "severities": {}}
        else:
            given |= {"severities": {"CRITICAL": found}}
        report = any_scan_report(**{"scanned_at": self.now, **given})
        return self.tell(report, f"event-{self._events}")

    def tell(self, report: ScanReport, event: str, attempt: int = 0) -> Notification:
        interpreted = self.ledger.record_scan(interpreted_of(report, event))
        composer = any_composer(
            policy=self.policy,
            ledger=self.ledger.as_ledger,
            now=self.now,
            attempt=attempt,
            **self._given,
        )
        return composer.compose(interpreted)


def reported(notification: Notification) -> dict[str, Any]:
    """Return the report that machines get."""
    contents: list[Any] = [
        each.content for each in notification.deliveries if each.channel is Channel.WEBHOOK
    ]
    (document,) = contents
    report: dict[str, Any] = document["report"]
    return report


def changed(notification: Notification) -> tuple[str, dict[str, int]]:
    """Return what a report says of the change."""
    report = reported(notification)
    return report["change"], report["difference"]


def incidents(notification: Notification) -> list[tuple[str, str]]:
    """Return what becomes of incidents, by key."""
    contents: list[Any] = [
        each.content for each in notification.deliveries if each.channel is Channel.PAGERDUTY
    ]
    return [(each["event_action"], each["dedup_key"]) for each in contents]


def incident(notification: Notification) -> str | None:
    """Say what becomes of the image's incident, if anything."""
    actions = [action for action, _ in incidents(notification)]
    assert len(actions) <= 1
    return actions[0] if actions else None


def policy(**given: Any) -> NotificationPolicy:
    return any_notification_policy(include_findings=False, **given)


@pytest.fixture
def people() -> People:
    return People(policy=policy())


def test_reports_what_is_new_and_what_is_worse_and_what_is_over(people: People) -> None:
    told = [people.scan(found) for found in (0, 1, 1, 3, 2, 2, 0, 0)]
    assert [each.reason for each in told] == [
        Reason.NOTHING_ABOVE_THRESHOLD,
        Reason.NEW,
        Reason.UNCHANGED,
        Reason.WORSE,
        Reason.BETTER_EXCLUDED,
        Reason.UNCHANGED,
        Reason.CLEARED,
        Reason.UNCHANGED,
    ]
    assert [each.notify for each in told] == [False, True, False, True, False, False, True, False]


def test_says_the_difference(people: People) -> None:
    people.scan(2)
    worse, cleared = people.scan(4), people.scan(0)
    assert changed(worse) == ("WORSE", {"CRITICAL": 2})
    assert changed(cleared) == ("CLEARED", {"CRITICAL": -4})
    assert (reported(cleared)["open_before"], reported(cleared)["open_now"]) == (
        {"CRITICAL": 4},
        {},
    )


def test_what_has_become_better_is_compared_with_that(people: People) -> None:
    assert [people.scan(found).notify for found in (5, 3, 4)] == [True, False, True]


def test_reports_a_failure_once_and_when_it_is_over(people: People) -> None:
    scans = ("FAILED", "FAILED", 0, "FAILED", 2, "FAILED", 2, 2)
    told = [people.scan(found) for found in scans]
    assert [each.notify for each in told] == [True, False, True, True, True, True, True, False]
    assert {reported(told[number])["cause"] for number in (2, 4, 6)} == {Cause.END_OF_FAILURE}


def test_reports_a_second_failure_after_the_same_findings_as_before(people: People) -> None:
    """The scan in between changes no count, but it ends the first failure."""
    notifications = [people.scan(found) for found in (2, "FAILED", 2, "FAILED")]
    assert [each.reason for each in notifications] == [
        Reason.NEW,
        Reason.FAILED,
        Reason.CLEARED,
        Reason.FAILED,
    ]


def test_opens_and_closes_an_incident_once(people: People) -> None:
    assert [incident(people.scan(found)) for found in (0, 0, 1, 1, 0, 0)] == [
        None,  # none was opened
        None,
        "trigger",
        None,
        "resolve",
        None,
    ]


def test_a_failed_scan_is_no_incident_and_ends_none(people: People) -> None:
    assert [incident(people.scan(found)) for found in ("FAILED", 0, 1, "FAILED", 1, 0)] == [
        None,
        None,
        "trigger",
        None,
        None,
        "resolve",
    ]


def test_reminds_of_what_is_unchanged(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=30) - 2 * HOUR
    assert not people.scan(2).notify
    reminder = people.scan(2)
    assert (reminder.notify, reminder.reason) == (True, Reason.REMINDER)
    assert reported(reminder)["is_reminder"]
    assert not people.scan(2).notify
    people.scan("FAILED")
    people.now += timedelta(days=30)
    still = people.scan("FAILED")
    assert (still.reason, reported(still)["is_reminder"]) == (Reason.REMINDER, True)


def test_what_is_noted_silently_does_not_put_a_reminder_off(people: People) -> None:
    people.scan(5)
    people.now += timedelta(days=20)
    assert not people.scan(3).notify
    people.now += timedelta(days=10)
    assert people.scan(3).reason is Reason.REMINDER


def test_reminds_of_nothing_that_is_well(people: People) -> None:
    people.scan(0)
    people.now += timedelta(days=90)
    assert not people.scan(0).notify


def test_reports_each_change_that_is_asked_for() -> None:
    people = People(policy=policy(notify_on=frozenset({Change.BETTER, Change.UNCHANGED})))
    told = [people.scan(found) for found in (3, 2, 2, 0, 0, "FAILED", "FAILED")]
    assert [each.notify for each in told] == [False, True, True, False, False, False, True]
    assert changed(told[1]) == ("BETTER", {"CRITICAL": -1})


WITHOUT_FAILED = frozenset({NotifyOn.NEW, NotifyOn.WORSE, NotifyOn.CLEARED})


@pytest.mark.parametrize(
    ("notify_on", "found", "reminds"),
    [
        (frozenset(), 2, False),
        (frozenset(), "FAILED", False),
        (WITHOUT_FAILED, "FAILED", False),
        (WITHOUT_FAILED, 2, True),
        (frozenset({NotifyOn.WORSE}), 2, True),
        (frozenset({NotifyOn.FAILED}), 2, False),
        (frozenset({NotifyOn.FAILED}), "FAILED", True),
    ],
)
def test_reminds_only_of_what_notify_on_would_report(
    notify_on: frozenset[NotifyOn], found: int | str, reminds: bool
) -> None:
    people = People(policy=policy(notify_on=notify_on))
    people.scan(found)
    people.now += timedelta(days=90)
    told = people.scan(found)
    assert told.notify == reminds
    assert incident(told) is None  # the one that is open is not opened again


def test_the_end_of_a_failure_that_was_not_reported_is_no_news() -> None:
    people = People(policy=policy(notify_on=WITHOUT_FAILED))
    told = [people.scan(found) for found in (0, "FAILED", 0, 0)]
    assert [each.notify for each in told] == [False] * 4
    assert [each.reason for each in told[1:]] == [*[Reason.FAILED_EXCLUDED] * 2, Reason.UNCHANGED]
    assert [each.deliveries for each in told] == [()] * 4


def test_what_was_found_before_a_failure_that_was_not_reported_is_over() -> None:
    people = People(policy=policy(notify_on=WITHOUT_FAILED))
    told = [people.scan(found) for found in (1, "FAILED", 0)]
    assert [each.notify for each in told] == [True, False, True]
    assert told[-1].reason == Reason.CLEARED


def test_reports_once_that_an_image_is_clean_if_asked_to() -> None:
    people = People(policy=policy(notify_on=DEFAULT_NOTIFY_ON | {NotifyOn.CLEAN}))
    assert [people.scan(0).notify for _ in range(2)] == [True, False]


# One event, several times


def test_the_same_event_makes_the_same_message(people: People) -> None:
    people.scan(1)
    people.now += HOUR
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now)
    first, again = (people.tell(report, "twice") for _ in range(2))
    people.now += timedelta(days=3)
    later = people.tell(report, "twice", attempt=2)
    assert first.notify
    assert changed(first) == ("WORSE", {"CRITICAL": 1})
    contents = [[each.content for each in told.deliveries] for told in (first, again, later)]
    assert contents[0] == contents[1] == contents[2]
    ids = {each.message_id for told in (first, again, later) for each in told.deliveries}
    assert ids == {"twice"}


def test_the_same_scan_in_another_event_is_nothing_new(people: People) -> None:
    report = any_scan_report(scanned_at=people.now)
    assert [people.tell(report, event).notify for event in ("one", "other")] == [True, False]


def test_an_older_scan_is_not_reported(people: People) -> None:
    people.scan(1)
    late = any_scan_report(severities={"CRITICAL": 7}, tagged_at=NOW)
    told = people.tell(late, "late")
    assert (told.notify, told.reason, told.deliveries) == (False, Reason.OUTDATED, ())
    assert not people.scan(1).notify


def test_an_event_that_was_kept_is_reported_though_the_next_scan_has_come(people: People) -> None:
    """The next one found nothing new, compared with what this event had noted and not told."""
    report = any_scan_report(severities={"CRITICAL": 1}, scanned_at=people.now)
    assert people.tell(report, "kept").notify
    assert not people.scan(1).notify
    assert people.tell(report, "kept").notify


def test_an_event_makes_its_message_again_until_as_many_changes_as_are_noted_have_come(
    people: People,
) -> None:
    report = any_scan_report(severities={"CRITICAL": 1}, scanned_at=people.now)
    people.tell(report, "kept")
    for found in range(2, MOST_NOTES + 1):
        people.scan(found)
    assert people.tell(report, "kept").reason is Reason.NEW
    people.scan(MOST_NOTES + 1)
    assert people.tell(report, "kept").reason is Reason.OUTDATED


def test_notes_the_last_few_changes_the_newest_first(people: People) -> None:
    for found in range(1, MOST_NOTES + 3):
        people.scan(found)
    baseline = people.ledger.kept["team/api", DIGEST].baseline
    assert baseline
    assert [note.event_id for note in baseline.notes] == [
        f"event-{number}" for number in range(MOST_NOTES + 2, 2, -1)
    ]
    assert baseline.revision == MOST_NOTES + 2


@pytest.mark.parametrize(
    ("late", "meanwhile", "becomes"),
    [
        (1, [2], [("trigger", 2)]),
        (1, [0], []),  # it was resolved meanwhile
        (0, [2], [("resolve", 1)]),  # another one was opened meanwhile, and stays
        (0, [2, 0], [("resolve", 1)]),
    ],
)
def test_a_change_that_is_reported_late_says_so_and_leaves_what_has_changed_since(
    people: People, late: int, meanwhile: list[int], becomes: list[tuple[str, int]]
) -> None:
    """The incident of the image has the revision of its baseline at the end of its key."""
    people.scan(1 - late)
    report = any_scan_report(severities={"CRITICAL": late}, scanned_at=people.now + HOUR)
    in_time = people.tell(report, "kept")
    people.now += HOUR
    for found in meanwhile:
        people.scan(found)
    told = people.tell(report, "kept")
    assert told.notify
    assert LATE in reported(told)["remarks"]
    assert LATE not in reported(in_time)["remarks"]
    assert incidents(told) == [(action, f"{SUBJECT}#{revision}") for action, revision in becomes]


def test_of_two_scans_at_once_the_slower_looks_again(people: People) -> None:
    one, other = (
        interpreted_of(
            any_scan_report(severities={"CRITICAL": n}, scanned_at=NOW + n * HOUR), str(n)
        )
        for n in (1, 2)
    )
    people.ledger.record_scan(one)
    ledger = Interrupted(people.ledger, lambda: composer.compose(people.ledger.record_scan(other)))
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=NOW)
    slower = replace(composer, ledger=ledger.as_ledger)
    with pytest.raises(BaselineMoved):
        slower.compose(one)
    assert [each.reason for each in ledger.meanwhile] == [Reason.NEW]
    assert replace(composer, attempt=1).compose(one).reason is Reason.OUTDATED


def test_of_the_same_event_at_once_both_come_to_the_same(people: People) -> None:
    interpreted = people.ledger.record_scan(interpreted_of(any_scan_report()))
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=NOW)
    ledger = Interrupted(people.ledger, lambda: composer.compose(interpreted))
    with pytest.raises(BaselineMoved):
        replace(composer, ledger=ledger.as_ledger).compose(interpreted)
    (faster,) = ledger.meanwhile
    assert composer.compose(interpreted) == faster


class Interrupted(LedgerInMemory):
    """A ledger in which something happens between the reading of an image and its writing."""

    def __init__(self, of: LedgerInMemory, meanwhile: Callable[[], Notification]) -> None:
        self.__dict__ = dict(vars(of))  # the same table
        self.meanwhile: list[Notification] = []
        self._interrupt = meanwhile

    def note(self, *given: Any, **named: Any) -> None:
        """Note a baseline too late."""
        if not self.meanwhile:
            self.meanwhile.append(self._interrupt())
        super().note(*given, **named)


def test_findings_of_a_later_baseline_than_was_read_are_another_event(people: People) -> None:
    """DynamoDB reads several items one by one, so that a transaction can come in between."""
    by_name = People(registry=FakeScans([any_finding()]).as_registry)
    by_name.tell(any_scan_report(severities={"HIGH": 1}), "event-1")
    stored = by_name.ledger.findings["team/api", DIGEST]
    by_name.ledger.findings["team/api", DIGEST] = replace(stored, revision=2)
    report = any_scan_report(scanned_at=by_name.now + HOUR)
    with pytest.raises(BaselineMoved, match=f"team/api@{DIGEST}: another event was faster"):
        by_name.tell(report, "event-2")
    del by_name.ledger.kept["team/api", DIGEST]
    by_name.ledger.findings["team/api", DIGEST] = replace(stored, revision=1)
    with pytest.raises(BaselineMoved):
        by_name.tell(report, "event-2")


def test_a_reminder_that_is_repeated_is_a_reminder_again(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=30)
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now)
    reminders = [people.tell(report, "reminder") for _ in range(2)]
    assert [each.reason for each in reminders] == [Reason.REMINDER] * 2
    assert reminders[0].deliveries == reminders[1].deliveries


# A new image with an old tag


def test_a_new_image_is_compared_with_the_one_that_had_its_tag(people: People) -> None:
    people.scan(2)
    same = people.scan(2, image_digest=OTHER_DIGEST)
    assert (same.notify, same.reason) == (False, Reason.UNCHANGED)
    assert not people.scan(2, image_digest=OTHER_DIGEST).notify
    worse = people.scan(3, image_digest=THIRD_DIGEST)
    assert changed(worse) == ("WORSE", {"CRITICAL": 1})
    assert reported(worse)["compared_with"] == OTHER_DIGEST


def test_a_new_image_with_a_new_tag_is_new(people: People) -> None:
    people.scan(2)
    assert people.scan(2, image_digest=OTHER_DIGEST, tags=("v2",)).reason is Reason.NEW
    assert people.scan(2, image_digest=THIRD_DIGEST, tags=()).reason == Reason.NEW


def test_a_reminder_goes_from_image_to_image(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=20)
    people.scan(2, image_digest=OTHER_DIGEST)
    people.now += timedelta(days=10)
    assert people.scan(2, image_digest=OTHER_DIGEST).reason is Reason.REMINDER


def test_after_a_rollback_an_image_is_compared_with_the_one_whose_tag_it_takes_again(
    people: People,
) -> None:
    people.scan(5)
    people.scan(1, image_digest=OTHER_DIGEST)
    back = people.scan(5)
    assert changed(back) == ("WORSE", {"CRITICAL": 4})
    assert reported(back)["compared_with"] == OTHER_DIGEST
    told = people.scan(6, image_digest=THIRD_DIGEST)
    assert changed(told) == ("WORSE", {"CRITICAL": 1})
    assert reported(told)["compared_with"] == DIGEST


def test_an_image_whose_record_is_lost_is_compared_with_another_that_had_its_tag(
    people: People,
) -> None:
    people.scan(2, image_digest=OTHER_DIGEST, tags=("v1",))
    people.scan(2, tags=("v2",))
    del people.ledger.kept["team/api", DIGEST]
    told = people.scan(3, tags=("v1", "v2"))
    assert changed(told) == ("WORSE", {"CRITICAL": 1})
    assert reported(told)["compared_with"] == OTHER_DIGEST


def test_of_several_predecessors_the_one_that_was_scanned_last_is_compared_with(
    people: People,
) -> None:
    people.scan(2, image_digest=OTHER_DIGEST, tags=("v1",))
    people.scan(4, image_digest=THIRD_DIGEST, tags=("latest",))
    told = people.scan(5, tags=("v1", "latest"))
    assert changed(told) == ("WORSE", {"CRITICAL": 1})
    assert reported(told)["compared_with"] == THIRD_DIGEST


def test_a_predecessor_whose_scan_is_not_known_is_the_oldest(people: People) -> None:
    people.scan(4, image_digest=OTHER_DIGEST, tags=("v1",))
    people.scan(2, image_digest=THIRD_DIGEST, tags=("latest",))
    record = people.ledger.kept["team/api", OTHER_DIGEST]
    people.ledger.kept["team/api", OTHER_DIGEST] = replace(record, last_scan=None)
    told = people.scan(5, tags=("v1", "latest"))
    assert reported(told)["compared_with"] == THIRD_DIGEST


def test_an_image_without_a_baseline_is_no_predecessor(people: People) -> None:
    people.ledger.kept["team/api", OTHER_DIGEST] = ImageRecord(OTHER_DIGEST)
    people.ledger.tags["team/api", "v1"] = TagPointer(OTHER_DIGEST, NOW)
    told = people.scan(2)
    assert (told.reason, reported(told)["compared_with"]) == (Reason.NEW, None)


def test_a_newer_image_with_the_tag_is_no_predecessor(people: People) -> None:
    """A rescan of the older image came late, and the tag stays where it is."""
    people.scan(2)
    people.now += HOUR
    before = people.now
    people.scan(1, image_digest=OTHER_DIGEST)
    report = any_scan_report(severities={"CRITICAL": 3}, scanned_at=before)
    told = people.tell(report, "late")
    assert changed(told) == ("WORSE", {"CRITICAL": 1})
    assert reported(told)["compared_with"] is None
    assert people.ledger.tags["team/api", "v1"].image_digest == OTHER_DIGEST


def test_an_image_that_is_not_in_the_ledger_has_an_empty_record() -> None:
    interpreted = interpreted_of(any_scan_report())
    assert interpreted.record
    baselines = LedgerInMemory().as_ledger.baselines
    known = recall(interpreted.record, "event-1", baselines, tagged_at=NOW)
    assert known.stored == StoredImage(ImageRecord(DIGEST))
    assert (known.before, known.before_by_name, known.findings_before) == (None, None, None)
    assert (known.compared_with, known.findings_now, known.note) == (None, {}, None)
    assert known.since_notified(NOW) == timedelta()
    assert not known.is_outdated(NOW - 1_000 * HOUR)


def test_a_tag_expires_with_the_record_of_its_image(people: People) -> None:
    people.scan(1)
    kept_for = timedelta(days=180)  # as interpreted_of has it
    assert people.ledger.expiries == {("team/api", "v1"): int((people.now + kept_for).timestamp())}


def test_a_tag_is_kept_as_long_as_the_image_is_scanned(people: People) -> None:
    for _ in range(2):
        people.scan(0)
        assert people.ledger.tags["team/api", "v1"] == TagPointer(DIGEST, people.now)
    people.scan(0, tags=("v1", "latest"))
    assert people.ledger.tags["team/api", "latest"] == TagPointer(DIGEST, people.now)


def test_an_older_scan_takes_no_tag(people: People) -> None:
    people.scan(0, image_digest=OTHER_DIGEST)
    tags = dict(people.ledger.tags)
    people.tell(any_scan_report(tagged_at=NOW), "late")
    assert people.ledger.tags == tags


def test_an_event_that_is_processed_again_takes_its_tags_again(people: People) -> None:
    """The first time, it has stored what has changed, and could not store the tags."""
    report = any_scan_report()
    people.tell(report, "event-1")
    people.ledger.tags.clear()
    people.tell(report, "event-1")
    assert people.ledger.tags["team/api", "v1"] == TagPointer(DIGEST, NOW)


def test_an_event_without_tags_is_compared_by_those_that_the_image_had(people: People) -> None:
    """ECR names no tags in the event of a scan that Amazon Inspector has ended."""
    people.scan(2, image_digest=OTHER_DIGEST)
    people.scan(2)
    report = any_scan_report(severities={"CRITICAL": 3}, scanned_at=people.now + HOUR, tags=())
    interpreted = interpreted_of(report, "untagged")  # RecordScan has failed, and kept the tags
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=people.now + HOUR)
    assert changed(composer.compose(interpreted)) == ("WORSE", {"CRITICAL": 1})
    assert people.ledger.tags["team/api", "v1"] == TagPointer(DIGEST, people.now + HOUR)


def test_images_of_an_index_are_compared_by_tag_and_platform(people: People) -> None:
    for number, digest in enumerate((OTHER_DIGEST, THIRD_DIGEST)):
        platform = ("linux/amd64", "linux/arm64")[number]
        people.ledger.children["team/api", digest] = Child(digest, platform, ("v1",))
        people.scan(number + 1, image_digest=digest, tags=())
    people.ledger.children["team/api", DIGEST] = Child(DIGEST, "linux/arm64", ("v1",))
    told = people.scan(3, tags=())
    assert changed(told) == ("WORSE", {"CRITICAL": 1})
    report = reported(told)
    assert report["compared_with"] == THIRD_DIGEST
    assert (report["tags"], report["platform"]) == (["v1"], "linux/arm64")
    assert people.ledger.tags["team/api", "v1#linux/arm64"].image_digest == DIGEST


# Which incidents an image takes over


def test_an_image_that_takes_the_last_tag_of_another_takes_its_incident_too(
    people: People,
) -> None:
    people.scan(2)
    taken = people.scan(2, image_digest=OTHER_DIGEST)
    assert incidents(taken) == [("trigger", f"{SUBJECT}#1")]
    assert [incident_in(people, each) for each in (DIGEST, OTHER_DIGEST)] == ["", f"{SUBJECT}#1"]
    assert incidents(people.scan(0, image_digest=OTHER_DIGEST)) == [("resolve", f"{SUBJECT}#1")]


def test_an_image_that_keeps_another_tag_keeps_its_incident(people: People) -> None:
    people.scan(2, tags=("v1", "latest"))
    others = people.scan(3, image_digest=OTHER_DIGEST, tags=("latest",))
    other_subject = any_scan_report(image_digest=OTHER_DIGEST).subject
    assert incidents(others) == [("trigger", f"{other_subject}#1")]
    assert [incident_in(people, each) for each in (DIGEST, OTHER_DIGEST)] == [
        f"{SUBJECT}#1",
        f"{other_subject}#1",
    ]


def test_a_tag_that_has_gone_to_a_third_image_is_no_tag_left(people: People) -> None:
    people.scan(2, tags=("v1", "latest"))
    people.scan(2, image_digest=THIRD_DIGEST, tags=("v1",))
    taken = people.scan(2, image_digest=OTHER_DIGEST, tags=("latest",))
    assert ("trigger", f"{SUBJECT}#1") in incidents(taken)
    assert incident_in(people, DIGEST) == ""


def test_an_image_that_has_lost_its_tags_opens_no_incident(people: People) -> None:
    people.scan(0)
    people.scan(0, image_digest=OTHER_DIGEST)
    report = any_scan_report(severities={"CRITICAL": 1}, scanned_at=people.now + HOUR, tags=())
    assert incidents(people.tell(report, "untagged")) == []


def test_an_event_that_names_a_tag_of_another_image_opens_no_incident(people: People) -> None:
    """A newer scan has seen the tag there, and this image is scanned for the first time."""
    people.scan(0)
    people.ledger.tags["team/api", "v1"] = TagPointer(OTHER_DIGEST, people.now + 3 * HOUR)
    assert incident(people.scan(1)) is None


def incident_in(people: People, image_digest: str) -> str | None:
    baseline = people.ledger.kept["team/api", image_digest].baseline
    return baseline.incident if baseline else None


# Without a memory


def test_asks_the_ledger_again_and_reports_without_it_in_the_end(people: People) -> None:
    people.scan(1)
    people.ledger.is_lost = True
    report = any_scan_report(scanned_at=people.now)
    for attempt in range(RETRIES):
        with pytest.raises(LedgerUnavailable):
            people.tell(report, "lost", attempt)
    told = people.tell(report, "lost", RETRIES)
    assert (told.notify, told.reason) == (True, Reason.NEW)
    assert reported(told)["change"] is None


def test_reports_in_the_end_what_it_cannot_note(log: io.StringIO) -> None:
    people = digest_people()
    people.scan(1)
    people.ledger.refused = {"note"}
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now + HOUR)
    for attempt in range(RETRIES):
        with pytest.raises(LedgerUnavailable):
            people.tell(report, "lost", attempt)
    told = people.tell(report, "lost", RETRIES)
    assert (told.notify, told.reason) == (True, Reason.NEW)
    # No incident has a key that it could be resolved by.
    assert {each.channel for each in told.deliveries} == {*Channel} - {Channel.PAGERDUTY}
    assert digests(people) == [(0, 1)]
    assert "ledger unavailable, report not compared" in log.getvalue()


def test_what_is_noted_is_reported_though_its_tags_cannot_be(log: io.StringIO) -> None:
    people = digest_people()
    people.ledger.refused = {"move_tags"}
    report = any_scan_report(severities={"CRITICAL": 2})
    for attempt in range(RETRIES):
        with pytest.raises(LedgerUnavailable):
            people.tell(report, "lost", attempt)
    told = people.tell(report, "lost", RETRIES)
    assert {each.channel for each in told.deliveries} == {*Channel} - WAITING
    assert digests(people) == [(0, 2)]
    assert "ledger partially updated" in log.getvalue()


def test_an_image_without_a_digest_is_reported_each_time(people: People) -> None:
    assert [people.scan(1, image_digest=None).notify for _ in range(2)] == [True, True]
    assert people.ledger.calls.total() == 0


def test_a_scan_that_is_not_compared_is_reported_by_the_thresholds() -> None:
    people = People(policy=policy(notify_on=DEFAULT_NOTIFY_ON | {NotifyOn.CLEAN}))
    told = people.scan(1, image_digest=None)
    assert reported(told)["open_now"] == {"CRITICAL": 1}
    clean = people.scan(0, image_digest=None)
    assert (clean.reason, reported(clean)["open_now"]) == (Reason.NOTHING_ABOVE_THRESHOLD, {})
    failed = people.scan("FAILED", image_digest=None)
    assert (failed.reason, reported(failed)["open_now"]) == (Reason.FAILED, {})


# The names of findings that ECR did not list


def test_notes_that_names_are_missing_until_they_are_known(log: io.StringIO) -> None:
    del log
    people = People(registry=FakeScans(EcrThrottled("any")).as_registry)
    for number in range(2):
        report = any_scan_report(scanned_at=NOW + number * HOUR)
        people.tell(report, f"missing-{number}", RETRIES)
        record = people.ledger.kept["team/api", DIGEST]
        assert record.names_missing == NOW  # of the first scan whose names are missing
    assert people.ledger.calls["note_names_missing"] == 1
    found = People(registry=FakeScans([any_finding()]).as_registry)
    found.ledger = people.ledger
    for number in (2, 3):
        found.tell(any_scan_report(scanned_at=NOW + number * HOUR), f"found-{number}")
        assert people.ledger.kept["team/api", DIGEST].names_missing is None
    assert people.ledger.calls["note_names_missing"] == 2


def test_a_scan_without_findings_has_no_names_that_are_missing() -> None:
    people = People(registry=FakeScans(EcrThrottled("any")).as_registry)
    people.tell(any_scan_report(), "missing", RETRIES)
    clean = any_scan_report(severities={}, scanned_at=NOW + HOUR)
    people.tell(clean, "clean")
    assert people.ledger.kept["team/api", DIGEST].names_missing is None


@pytest.mark.parametrize(("days", "calls"), [(89, 0), (91, 1)])
def test_findings_are_kept_as_long_as_the_image_is_scanned(days: int, calls: int) -> None:
    """They are written only when they change; the record of the image is with every scan."""
    people = People(registry=FakeScans([any_finding()]).as_registry)
    people.tell(any_scan_report(), "event-1")
    first = people.ledger.findings["team/api", DIGEST].expires_at
    assert first == int((NOW + timedelta(days=180)).timestamp())
    people.now += timedelta(days=days)
    people.tell(any_scan_report(scanned_at=people.now), "event-2")
    assert people.ledger.calls["keep_findings"] == calls
    kept_until = int((people.now + timedelta(days=180)).timestamp())
    expected = kept_until if calls else first
    assert people.ledger.findings["team/api", DIGEST].expires_at == expected


# Calls


def test_a_scan_costs_as_many_calls_as_the_documents_say(people: People) -> None:
    def calls(found: int, **given: Any) -> dict[str, int]:
        people.ledger.calls.clear()
        people.scan(found, **given)
        return {name: number for name, number in people.ledger.calls.items() if name != "images"}

    assert calls(1) == {"RecordScan": 1, "recall": 1, "note": 1, "move_tags": 1}
    assert calls(1) == {"RecordScan": 1, "recall": 1, "move_tags": 1}
    assert calls(2) == {"RecordScan": 1, "recall": 1, "note": 1, "move_tags": 1}


# Digests


def digest_people(immediate_from: ImmediateFrom = ImmediateFrom.NEVER, **given: Any) -> People:
    channels = replace(
        EVERY_CHANNEL, digest_channels=frozenset(WAITING), immediate_from=immediate_from
    )
    return People(policy=policy(**given), channels=channels)


def digests(people: People) -> list[tuple[int, int]]:
    """Return how many critical findings each change of the digest says there were, and are."""
    return [
        (
            change.before.counts.get("CRITICAL", 0),
            change.image.image_state.counts.get("CRITICAL", 0),
        )
        for change in people.ledger.digest
    ]


def test_leaves_a_scan_to_the_digests_of_a_channel() -> None:
    people = digest_people()
    told = people.scan(1)
    assert {each.channel for each in told.deliveries} == {*Channel} - WAITING
    assert digests(people) == [(0, 1)]
    people.scan(1)
    people.scan(4)
    assert digests(people) == [(0, 1), (1, 4)]


def test_an_entry_of_a_digest_has_what_a_message_says_of_the_image() -> None:
    people = digest_people()
    report = any_scan_report(severities={"CRITICAL": 3}, scanned_at=people.now)
    people.tell(report, "new")
    baseline = people.ledger.kept["team/api", DIGEST].baseline
    assert baseline
    assert people.ledger.digest == [
        DigestChange(
            image=DigestImage(
                repository="team/api",
                image_digest=DIGEST,
                image=report.image,
                link=report.link,
                account=report.account,
                region=report.region,
                scanned_at=report.scanned_at,
                image_state=baseline.image_state,
                event_id="new",
            ),
            before=ImageState(),
            noted_at=people.now,
            change=Change.NEW,
            revision=1,
            expires_at=int((people.now + timedelta(days=180)).timestamp()),
        )
    ]


def test_a_reminder_in_a_digest_says_that_it_is_one() -> None:
    people = digest_people()
    people.scan(2)
    people.ledger.digest.clear()
    people.now += timedelta(days=30)
    people.scan(2)
    (change,) = people.ledger.digest
    assert (change.image.is_reminder, change.change) == (True, Change.UNCHANGED)


def people_by_name(found: list[Finding], **given: Any) -> People:
    """Make people with digests, whose scans are compared by name."""
    channels = replace(EVERY_CHANNEL, digest_channels=frozenset(WAITING))
    people = People(any_notification_policy(), channels=channels, **given)
    people.let_ecr_list(found)
    return people


def reminded(people: People) -> DigestChange:
    """Let nothing change for 30 days, and return the reminder."""
    people.scan(2)
    people.ledger.digest.clear()
    people.now += timedelta(days=30)
    people.scan(2)
    (change,) = people.ledger.digest
    assert change.image.is_reminder
    return change


def test_a_reminder_in_a_digest_names_the_worst_of_what_is_open() -> None:
    found = [any_finding("CVE-2026-2", "HIGH", package="zlib"), any_finding("CVE-2026-1", "LOW")]
    people = people_by_name(found)
    people.scan(1)
    people.now += timedelta(days=5)
    newer = any_finding("CVE-2026-0", "HIGH", package="zlib")
    below = any_finding("CVE-2026-4", "UNTRIAGED")  # OtherThreshold is off
    people.let_ecr_list([newer, *found, below])
    change = reminded(people)
    first, then = (NOW.date() + timedelta(days=each) for each in (0, 5))
    assert change.still_open == (
        ChangedFinding("CVE-2026-2", "zlib", "HIGH", first_seen=str(first), is_seen_later=True),
        ChangedFinding("CVE-2026-0", "zlib", "HIGH", first_seen=str(then)),
        ChangedFinding("CVE-2026-1", "", "LOW", first_seen=str(first), is_seen_later=True),
    )


def test_a_reminder_names_20_findings_and_none_of_those_that_are_accepted() -> None:
    found = [any_finding(f"CVE-2026-{number:02}", "HIGH") for number in range(30)]
    accepted = {"reason": "any", "accepted_by": "any", "expires": "2026-12-31"}
    document = [{"vulnerability": each.name, **accepted} for each in found[:5]]
    risks = AcceptedRisks.read(json.dumps({"accepted_risks": document}))
    people = people_by_name(found, risks=risks)
    change = reminded(people)
    assert [each.name for each in change.still_open] == [
        f"CVE-2026-{number:02}" for number in range(5, 25)
    ]


def test_a_change_that_is_no_reminder_and_a_reminder_by_number_name_nothing_open() -> None:
    people = people_by_name([any_finding()])
    people.scan(1)
    assert [each.still_open for each in people.ledger.digest] == [()]
    assert reminded(digest_people()).still_open == ()


def test_a_digest_names_an_image_elsewhere_by_its_registry() -> None:
    people = digest_people()
    people.scan(1, is_elsewhere=True, account="210987654321", region="eu-west-1")
    (change,) = people.ledger.digest
    assert change.image.repository == "210987654321:eu-west-1:team/api"


def test_a_digest_knows_what_has_gone_meanwhile() -> None:
    people = digest_people()
    people.scan(4)
    people.scan(2)  # better: nobody is told, but the digest must not tell of four
    assert digests(people) == [(0, 4), (4, 2)]
    assert [each.notify for each in people.ledger.digest] == [True, False]


def test_a_repeated_event_puts_nothing_more_into_a_digest() -> None:
    people = digest_people()
    people.scan(4)
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now + HOUR)
    for attempt in range(3):
        people.tell(report, "better", attempt)
    people.now += HOUR
    people.scan(5)
    people.tell(report, "better", attempt=1)
    assert digests(people) == [(0, 4), (4, 2), (2, 5)]


def test_a_change_is_in_the_digest_only_if_it_is_noted() -> None:
    people = digest_people()
    people.ledger.refused = {"note"}
    report = any_scan_report(severities={"CRITICAL": 2})
    with pytest.raises(LedgerUnavailable):
        people.tell(report, "new")
    assert people.ledger.digest == []
    people.ledger.refused = set()
    people.tell(report, "new", attempt=1)
    assert digests(people) == [(0, 2)]


def test_nothing_is_put_into_a_digest_where_no_channel_gets_one(people: People) -> None:
    people.scan(2)
    assert people.ledger.digest == []


def test_what_is_critical_breaks_through() -> None:
    people = digest_people(ImmediateFrom.CRITICAL)
    assert people.scan("FAILED").deliveries
    assert [each.is_told for each in people.ledger.digest] == [False]
    told = people.scan(1)
    assert len(told.deliveries) == len(Channel)
    cleared = people.scan(0)
    assert not {each.channel for each in cleared.deliveries} & WAITING
    # What was sent immediately stays, marked, so that the digest knows what it takes back.
    assert [(each.change, each.is_told) for each in people.ledger.digest] == [
        (Change.FAILED, False),
        (Change.NEW, True),
        (Change.CLEARED, False),
    ]


def test_only_what_has_become_more_breaks_through() -> None:
    people = digest_people(ImmediateFrom.HIGH)
    people.scan(1)
    medium = {"CRITICAL": 1, "MEDIUM": 5}
    people.now += HOUR
    told = people.tell(any_scan_report(severities=medium, scanned_at=people.now), "medium")
    assert told.notify
    assert Channel.SLACK not in {each.channel for each in told.deliveries}


def test_what_breaks_through_does_so_again_when_it_is_repeated() -> None:
    people = digest_people(ImmediateFrom.CRITICAL)
    report = any_scan_report(severities={"CRITICAL": 1})
    assert [len(people.tell(report, "twice").deliveries) for _ in range(2)] == [len(Channel)] * 2


def test_the_first_scan_of_an_image_by_a_run_waits_for_the_digest() -> None:
    people = digest_people(ImmediateFrom.CRITICAL)
    people.ledger.kept["team/api", DIGEST] = ImageRecord(DIGEST, started_by="run-1")
    told = people.scan(1)
    assert {each.channel for each in told.deliveries} == {*Channel} - WAITING - {Channel.PAGERDUTY}
    (change,) = people.ledger.digest
    assert (change.is_first_sight, change.is_told) == (True, False)
    worse = people.scan(2)  # which the run has started, too, but of an image that is known
    assert len(worse.deliveries) == len(Channel)
    assert not people.ledger.digest[-1].is_first_sight


def test_without_a_memory_nothing_is_left_to_a_digest() -> None:
    people = digest_people(ImmediateFrom.CRITICAL)
    told = people.scan(1, image_digest=None)
    assert {each.channel for each in told.deliveries} == {*Channel} - {Channel.PAGERDUTY}


def test_a_moved_threshold_is_left_to_the_digest_even_where_notify_on_names_nothing() -> None:
    people = digest_people(notify_on=frozenset())
    people.scan(2)
    people.ledger.digest.clear()
    higher = Thresholds({**DEFAULT_THRESHOLDS, "CRITICAL": 5})
    people.policy = policy(notify_on=frozenset(), thresholds=higher)
    told = people.scan(2)
    assert (told.notify, told.reason) == (False, Reason.THRESHOLD_MOVED)
    (change,) = people.ledger.digest
    assert (change.change, change.cause) == (Change.UNCHANGED, Cause.THRESHOLD)


def test_a_repository_whose_images_cannot_be_scanned_is_in_the_digest_once() -> None:
    people = digest_people()
    for number in range(3):
        report = any_scan_report(
            image_digest=f"sha256:{number:064x}", status="UNSUPPORTED_IMAGE", severities={}, tags=()
        )
        for _ in range(2):
            told = people.tell(report, f"event-{number}")
            assert (told.deliveries, told.reason) == ((), Reason.UNSUPPORTED)
    assert [(each.cause, each.image.event_id) for each in people.ledger.digest] == [
        (Cause.UNSUPPORTED, "event-0")
    ]


def test_what_is_found_later_of_a_scan_that_was_not_noted_is_new(people: People) -> None:
    """RecordScan alone has run: the image has a scan, and no baseline."""
    scan = RecordedScan(NOW, "COMPLETE", "BASIC", {"CRITICAL": 2})
    people.ledger.kept["team/api", DIGEST] = ImageRecord(DIGEST, last_scan=scan)
    assert people.scan(2).reason is Reason.NEW


# What brought each finding, and what is kept of its notifications


@pytest.mark.parametrize(("days", "calls"), [(89, 0), (91, 1)])
def test_it_is_remembered_who_was_notified_as_long_as_the_image_is_scanned(
    days: int, calls: int
) -> None:
    people = People(policy(remind_after=timedelta()))
    people.scan(1)
    people.now += timedelta(days=days)
    people.scan(1)
    assert people.ledger.calls["keep_notified"] == calls


def brought(people: People, digest: str = DIGEST) -> dict[str, tuple[int, str]]:
    findings = people.ledger.findings["team/api", digest].findings
    return {name: (each.revision, each.origin) for (name, _), each in findings.items()}


def test_a_finding_keeps_the_revision_that_brought_it() -> None:
    first, second = any_finding("CVE-1"), any_finding("CVE-2")
    people = people_by_name([first])
    people.scan(1)
    people.let_ecr_list([first, second])
    told = people.scan(2)
    assert brought(people) == {"CVE-1": (1, ""), "CVE-2": (2, "")}
    recorded: list[Any] = [each.image for each in told.deliveries]
    assert {each.revision for each in recorded if each} == {"2"}
    people.let_ecr_list([second])
    people.scan(1)
    people.let_ecr_list([first, second])
    people.scan(2)
    assert brought(people) == {"CVE-1": (4, ""), "CVE-2": (2, "")}  # back, and news again


def test_the_second_package_with_a_vulnerability_is_no_news() -> None:
    people = people_by_name([any_finding("CVE-1", package="openssl")])
    people.scan(1)
    packages = ("openssl", "libssl")
    people.let_ecr_list([any_finding("CVE-1", package=each) for each in packages])
    people.scan(2)
    assert brought(people) == {"CVE-1": (1, "")}


def test_a_rebuilt_image_knows_with_which_image_a_finding_came() -> None:
    old, new = any_finding("CVE-1"), any_finding("CVE-2")
    people = people_by_name([old])
    people.scan(1)
    second, third = (f"sha256:{number:064x}" for number in (2, 3))
    people.let_ecr_list([old, new])
    people.scan(2, image_digest=second)
    assert brought(people, second) == {"CVE-1": (1, DIGEST), "CVE-2": (1, "")}
    people.scan(2, image_digest=third)
    assert brought(people, third) == {"CVE-1": (1, DIGEST), "CVE-2": (1, second)}
    people.scan(2)  # the first image has the tag again
    assert brought(people) == {"CVE-1": (1, ""), "CVE-2": (1, second)}


def test_the_end_of_an_incident_is_no_notification_of_a_finding() -> None:
    people = People(policy())
    assert all(each.image for each in people.scan(1).deliveries)
    resolved = [each for each in people.scan(0).deliveries if each.channel is Channel.PAGERDUTY]
    assert [each.image for each in resolved] == [None]


# What is known of an image, without the ledger

NOTES = tuple(Note(f"event-{number}", NOW, ImageState(), NOW - HOUR) for number in (3, 2, 1))
BASELINE = Baseline(ImageState({"HIGH": 2}, ("HIGH",)), NOW, revision=9, notes=NOTES)
NAMED = KnownFindings(9, "BASIC", NOW.date(), {("CVE-1", "zlib"): KnownFinding("HIGH", NOW.date())})


def known_image(**given: Any) -> KnownImage:
    stored = StoredImage(ImageRecord(DIGEST, baseline=BASELINE), NAMED)
    return KnownImage(asked=mock.sentinel.asked, **{"stored": stored, **given})


def test_an_event_that_is_processed_again_has_the_revision_that_it_has_left() -> None:
    revisions = [known_image(note=note).next_revision for note in (None, *NOTES)]
    assert revisions == [10, 9, 8, 7]
    unknown = StoredImage(ImageRecord(DIGEST))
    assert known_image(stored=unknown).next_revision == 1


def test_what_was_noted_is_compared_by_number_alone() -> None:
    assert known_image().before_by_name
    again = known_image(note=NOTES[0])
    assert again.before_by_name is None
    assert again.before
    assert (again.before.image_state, again.since_notified(NOW)) == (ImageState(), HOUR)


def test_the_names_may_be_older_than_the_numbers_of_the_last_scan() -> None:
    state = ImageState({"HIGH": 2}, ("HIGH",), thresholds={"HIGH": 1}, scan_type="BASIC")
    record = ImageRecord(DIGEST, baseline=replace(BASELINE, image_state=state))
    known = known_image(stored=StoredImage(record, replace(NAMED, scan_type="ENHANCED")))
    assert known.before
    assert known.before.image_state == state
    assert known.before_by_name
    assert known.before_by_name.image_state == replace(
        state, counts=counted_unaccepted(NAMED.findings), exceeded=(), scan_type="ENHANCED"
    )


def test_an_image_without_findings_of_its_own_has_those_of_the_image_before() -> None:
    before = StoredImage(ImageRecord(OTHER_DIGEST, baseline=BASELINE), NAMED)
    nothing = StoredImage(ImageRecord(DIGEST))
    own = StoredImage(ImageRecord(DIGEST), KnownFindings(1, "BASIC", NOW.date()))
    assert known_image(stored=nothing, predecessor=before).findings_now == NAMED.findings
    assert known_image(stored=own, predecessor=before).findings_now == {}
    assert known_image(stored=nothing).findings_now == {}
    assert known_image().findings_now == NAMED.findings
