"""What NotifyScan remembers, by what people are told: the ledger is one in memory."""

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.digest_entries import DAILY, DigestEntry, DigestImage
from ledger.errors import BaselineMoved, LedgerUnavailable
from ledger.image_records import ImageRecord, ImageState
from notify_scan.known_image import LATE, MOST_NOTES, recall
from notify_scan.notification import Notification
from notify_scan.scan_details import RETRIES
from reporting.changes import image_state_of
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ImmediateFrom
from reporting.decision import Before, Decision, Incident, NotifyOn
from reporting.reports import Change, Reason, ScanReport
from tests.support.clock import NOW
from tests.support.ledger import LedgerInMemory
from tests.support.reports import (
    DEFAULT_NOTIFY_ON,
    DIGEST,
    EVERY_CHANNEL,
    any_composer,
    any_notification_policy,
    any_scan_report,
    interpreted_of,
)

OTHER_DIGEST = f"sha256:{8:064x}"
HOUR = timedelta(hours=1)


class People:
    """Who is told of one image after another, hour by hour."""

    def __init__(self, **given: Any) -> None:
        self.ledger = LedgerInMemory()
        self.now = NOW
        self._given = given
        self._events = 0

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
            ledger=self.ledger.as_ledger, now=self.now, attempt=attempt, **self._given
        )
        return composer.compose(interpreted)


def slack(notification: Notification) -> str:
    (delivery,) = (each for each in notification.deliveries if each.channel is Channel.SLACK)
    return json.dumps(delivery.content, ensure_ascii=False)


def incident(notification: Notification) -> object:
    """Say what becomes of the image's incident, if anything."""
    contents: list[Any] = [
        each.content for each in notification.deliveries if each.channel is Channel.PAGERDUTY
    ]
    return contents[0]["event_action"] if contents else None


def policy(**given: Any) -> Any:
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
    worse = people.scan(4)
    assert "ECR worse: 4 critical findings in" in slack(worse)
    assert "worse: +2 critical" in slack(worse)
    cleared = people.scan(0)
    assert "Nothing" not in slack(cleared)
    assert "ECR cleared: no findings in" in slack(cleared)
    assert "cleared: \N{MINUS SIGN}4 critical" in slack(cleared)


def test_what_has_become_better_is_compared_with_that(people: People) -> None:
    assert [people.scan(found).notify for found in (5, 3, 4)] == [True, False, True]


def test_reports_a_failure_once_and_when_it_is_over(people: People) -> None:
    scans = ("FAILED", "FAILED", 0, "FAILED", 2, "FAILED", 2)
    told = [people.scan(found).notify for found in scans]
    assert told == [True, False, True, True, True, True, False]


def test_reports_a_second_failure_after_the_same_findings_as_before(people: People) -> None:
    """The scan in between changes no count, but it ends the first failure."""
    notifications = [people.scan(found) for found in (2, "FAILED", 2, "FAILED")]
    assert [each.notify for each in notifications] == [True, True, False, True]
    assert "ECR scan failed: " in slack(notifications[-1])


def test_opens_and_closes_an_incident_once(people: People) -> None:
    assert [incident(people.scan(found)) for found in (0, 0, 1, 1, 0, 0)] == [
        "resolve",  # nobody knows whether one was left open
        None,
        "trigger",
        None,
        "resolve",
        None,
    ]


def test_reminds_of_what_is_unchanged(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=30) - 2 * HOUR
    assert not people.scan(2).notify
    reminder = people.scan(2)
    assert (reminder.notify, reminder.reason) == (True, Reason.REMINDER)
    assert "ECR reminder: 2 critical findings in" in slack(reminder)
    assert not people.scan(2).notify
    people.scan("FAILED")
    people.now += timedelta(days=30)
    assert "ECR reminder: scan still fails: " in slack(people.scan("FAILED"))


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
    assert "ECR better: 2 critical findings in" in slack(told[1])


WITHOUT_FAILED = frozenset({Change.NEW, Change.WORSE, Change.CLEARED})


@pytest.mark.parametrize(
    ("notify_on", "found", "reminds"),
    [
        (frozenset(), 2, False),
        (frozenset(), "FAILED", False),
        (WITHOUT_FAILED, "FAILED", False),
        (WITHOUT_FAILED, 2, True),
        (frozenset({Change.WORSE}), 2, True),
        (frozenset({Change.FAILED}), 2, False),
        (frozenset({Change.FAILED}), "FAILED", True),
    ],
)
def test_reminds_only_of_what_notify_on_would_report(
    notify_on: frozenset[Change], found: int | str, reminds: bool
) -> None:
    people = People(policy=policy(notify_on=notify_on))
    people.scan(found)
    people.now += timedelta(days=90)
    told = people.scan(found)
    assert told.notify == reminds
    assert incident(told) == ("trigger" if reminds else None)


def test_the_end_of_a_failure_that_was_not_reported_is_no_news() -> None:
    people = People(policy=policy(notify_on=WITHOUT_FAILED))
    told = [people.scan(found) for found in (0, "FAILED", 0, 0)]
    assert [each.notify for each in told] == [False] * 4
    assert [each.reason for each in told[1:]] == [*[Reason.FAILED_EXCLUDED] * 2, Reason.UNCHANGED]
    # One may be open from when NotifyOn still had FAILED.
    assert [incident(each) for each in told[1:]] == [None, "resolve", None]


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
    assert slack(first) == slack(again) == slack(later)
    ids = {each.message_id for told in (first, again, later) for each in told.deliveries}
    assert ids == {"twice"}


def test_the_same_scan_in_another_event_is_nothing_new(people: People) -> None:
    report = any_scan_report(scanned_at=people.now)
    assert [people.tell(report, event).notify for event in ("one", "other")] == [True, False]


def test_an_older_scan_is_not_reported(people: People) -> None:
    people.scan(1)
    late = any_scan_report(severities={"CRITICAL": 7}, scanned_at=NOW)
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
        (1, [2], "trigger"),
        (1, [0], None),  # it was closed meanwhile
        (0, [2], None),  # it was opened meanwhile
        (0, [2, 0], None),
    ],
)
def test_a_change_that_is_reported_late_says_so_and_leaves_what_has_changed_since(
    people: People, late: int, meanwhile: list[int], becomes: str | None
) -> None:
    people.scan(1 - late)
    report = any_scan_report(severities={"CRITICAL": late}, scanned_at=people.now + HOUR)
    in_time = people.tell(report, "kept")
    people.now += HOUR
    for found in meanwhile:
        people.scan(found)
    told = people.tell(report, "kept")
    assert told.notify
    assert LATE in slack(told)
    assert LATE not in slack(in_time)
    assert incident(told) == becomes


@pytest.mark.parametrize("decided", [Incident.TRIGGER, Incident.RESOLVE, Incident.NONE])
def test_a_late_decision_leaves_the_incident_of_an_image_without_alarm(decided: Incident) -> None:
    interpreted = replace(interpreted_of(any_scan_report()), known={})
    known = recall(interpreted, LedgerInMemory().as_ledger.records, attempt=0, now=NOW)
    assert known
    decision = Decision(True, decided, Reason.NEW)
    assert known.settled(decision) == decision
    late = replace(known, is_late=True).settled(decision)
    assert late == replace(decision, incident=Incident.NONE)


def test_of_two_scans_at_once_the_slower_looks_again(people: People) -> None:
    one, other = (
        interpreted_of(
            any_scan_report(severities={"CRITICAL": n}, scanned_at=NOW + n * HOUR), str(n)
        )
        for n in (1, 2)
    )
    one, other = people.ledger.record_scan(one), people.ledger.record_scan(other)
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=NOW)
    assert composer.compose(other).reason is Reason.NEW
    with pytest.raises(BaselineMoved):
        composer.compose(one)
    assert replace(composer, attempt=1).compose(one).reason is Reason.OUTDATED


def test_of_the_same_event_at_once_both_come_to_the_same(people: People) -> None:
    interpreted = interpreted_of(any_scan_report())
    first, second = people.ledger.record_scan(interpreted), interpreted
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=NOW)
    known_before = composer.compose(first)
    assert composer.compose(second).deliveries == known_before.deliveries
    with pytest.raises(BaselineMoved):
        composer.compose(first)  # as it would, had both read what RecordScan found


@pytest.mark.parametrize(
    "attributes",
    [
        {"baseline": {"M": {}}, "sk": {"S": f"image#{DIGEST}"}},
        {"baseline": {"M": None}, "sk": {"S": f"image#{DIGEST}"}},
        {"image_tags": {"L": None}, "sk": {"S": f"image#{DIGEST}"}},
        {"image_tags": {}, "sk": {"S": f"image#{DIGEST}"}},
        {"started_at": {"S": "today"}, "sk": {"S": f"image#{DIGEST}"}},
        {"image_tags": {"L": []}},
        ["any"],
    ],
)
def test_looks_up_what_it_cannot_read_in_the_answer_of_the_record(
    people: People, attributes: object
) -> None:
    people.scan(1)
    report = any_scan_report(severities={"CRITICAL": 1}, scanned_at=people.now + HOUR)
    interpreted = people.ledger.record_scan(interpreted_of(report, "other"))
    composer = any_composer(policy=policy(), ledger=people.ledger.as_ledger, now=people.now)
    told = composer.compose(replace(interpreted, known={"Attributes": attributes}))
    assert (told.notify, told.reason) == (False, Reason.UNCHANGED)
    assert people.ledger.calls["get"] == 1


def test_a_reminder_that_is_repeated_is_a_reminder_again(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=30)
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now)
    reminders = [people.tell(report, "reminder") for _ in range(2)]
    assert [each.reason for each in reminders] == [Reason.REMINDER] * 2


# A new image with an old tag


def test_a_new_image_is_compared_with_the_one_that_had_its_tag(people: People) -> None:
    people.scan(2)
    same = people.scan(2, image_digest=OTHER_DIGEST)
    assert (same.notify, same.reason) == (False, Reason.UNCHANGED)
    assert not people.scan(2, image_digest=OTHER_DIGEST).notify
    worse = people.scan(3, image_digest=f"sha256:{9:064x}")
    assert f"worse: +1 critical, compared with `{OTHER_DIGEST[:19]}`" in slack(worse)


def test_a_new_image_with_a_new_tag_is_new(people: People) -> None:
    people.scan(2)
    assert people.scan(2, image_digest=OTHER_DIGEST, tags=("v2",)).reason is Reason.NEW
    assert people.scan(2, image_digest=f"sha256:{9:064x}", tags=()).reason == Reason.NEW


def test_a_reminder_goes_from_image_to_image(people: People) -> None:
    people.scan(2)
    people.now += timedelta(days=20)
    people.scan(2, image_digest=OTHER_DIGEST)
    people.now += timedelta(days=10)
    assert people.scan(2, image_digest=OTHER_DIGEST).reason is Reason.REMINDER


def test_after_a_rollback_a_new_image_is_compared_with_the_one_that_has_the_tag_again(
    people: People,
) -> None:
    people.scan(5)
    people.scan(1, image_digest=OTHER_DIGEST)
    people.scan(5)
    told = people.scan(6, image_digest=f"sha256:{9:064x}")
    assert f"worse: +1 critical, compared with `{DIGEST[:19]}`" in slack(told)


def test_an_image_whose_record_is_lost_is_compared_with_another_that_had_its_tag(
    people: People,
) -> None:
    people.scan(2, image_digest=OTHER_DIGEST, tags=("v1",))
    people.scan(2, tags=("v2",))
    del people.ledger.kept["team/api", DIGEST]
    told = people.scan(3, tags=("v1", "v2"))
    assert f"worse: +1 critical, compared with `{OTHER_DIGEST[:19]}`" in slack(told)


def test_an_image_that_is_not_in_the_ledger_has_an_empty_record() -> None:
    interpreted = replace(interpreted_of(any_scan_report()), known={})
    memory = recall(interpreted, LedgerInMemory().as_ledger.records, attempt=0, now=NOW)
    assert memory
    assert memory.record == ImageRecord(DIGEST)
    assert (memory.before, memory.compared_with) == (Before(), None)


def test_a_tag_expires_with_the_record_of_its_image(people: People) -> None:
    people.scan(1)
    kept_for = timedelta(days=180)  # as interpreted_of has it
    assert people.ledger.expiries == {("team/api", "v1"): int((people.now + kept_for).timestamp())}


def test_a_tag_is_kept_as_long_as_the_image_is_scanned(people: People) -> None:
    for _ in range(2):
        people.scan(0)
        assert people.ledger.tags["team/api", "v1"] == (DIGEST, people.now)
    people.scan(0, tags=("v1", "latest"))
    assert people.ledger.tags["team/api", "latest"] == (DIGEST, people.now)


def test_an_older_scan_takes_no_tag(people: People) -> None:
    people.scan(0, image_digest=OTHER_DIGEST)
    tags = dict(people.ledger.tags)
    people.tell(any_scan_report(scanned_at=NOW), "late")
    assert people.ledger.tags == tags


def test_follows_tags_though_the_answer_of_the_record_is_lost(people: People) -> None:
    interpreted = interpreted_of(any_scan_report())
    people.ledger.record_scan(interpreted)
    any_composer(policy=policy(), ledger=people.ledger.as_ledger).compose(interpreted)
    assert people.ledger.tags["team/api", "v1"] == (DIGEST, NOW)


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
    assert "Change" not in slack(told)


def test_reports_in_the_end_what_it_cannot_note(log: io.StringIO) -> None:
    people = digest_people()
    people.scan(1)
    people.ledger.refused = {"note_baseline"}
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now + HOUR)
    for attempt in range(RETRIES):
        with pytest.raises(LedgerUnavailable):
            people.tell(report, "lost", attempt)
    told = people.tell(report, "lost", RETRIES)
    assert (told.notify, told.reason) == (True, Reason.NEW)
    assert {each.channel for each in told.deliveries} == {*Channel}
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
    assert {each.channel for each in told.deliveries} == {*Channel} - {
        Channel.SLACK,
        Channel.TEAMS,
    }
    assert digests(people) == [(0, 2)]
    assert "ledger partially updated" in log.getvalue()


def test_an_image_without_a_digest_is_reported_each_time(people: People) -> None:
    assert [people.scan(1, image_digest=None).notify for _ in range(2)] == [True, True]
    assert people.ledger.calls.total() == 0


# Calls


def test_a_scan_costs_as_many_calls_as_the_documents_say(people: People) -> None:
    def calls(found: int, **given: Any) -> dict[str, int]:
        people.ledger.calls.clear()
        people.scan(found, **given)
        return dict(people.ledger.calls)

    assert calls(1) == {"RecordScan": 1, "predecessor": 1, "note_baseline": 1, "move_tags": 1}
    assert calls(1) == {"RecordScan": 1, "move_tags": 1}
    assert calls(2) == {"RecordScan": 1, "note_baseline": 1, "move_tags": 1}


# Digests


def digest_people(immediate_from: ImmediateFrom = ImmediateFrom.NEVER) -> People:
    waiting = frozenset({Channel.SLACK, Channel.TEAMS})
    channels = replace(EVERY_CHANNEL, digest_channels=waiting, immediate_from=immediate_from)
    return People(policy=policy(), channels=channels)


def digests(people: People) -> list[tuple[int, int]]:
    """Return how many critical findings each entry of the digest says there were, and are."""
    return [
        (
            entry.before.counts.get("CRITICAL", 0),
            entry.image.image_state.counts.get("CRITICAL", 0),
        )
        for entry in people.ledger.digests.values()
    ]


def test_leaves_a_scan_to_the_digests_of_a_channel() -> None:
    people = digest_people()
    told = people.scan(1)
    assert {each.channel for each in told.deliveries} == {*Channel} - {
        Channel.SLACK,
        Channel.TEAMS,
    }
    assert digests(people) == [(0, 1)]
    people.scan(1)
    people.scan(4)
    assert digests(people) == [(0, 4)]


def test_an_entry_of_a_digest_has_what_a_message_says_of_the_image() -> None:
    people = digest_people()
    report = any_scan_report(severities={"CRITICAL": 3}, scanned_at=people.now)
    people.tell(report, "new")
    assert people.ledger.digests == {
        (DAILY, "team/api", DIGEST): DigestEntry(
            image=DigestImage(
                repository="team/api",
                image_digest=DIGEST,
                image=report.image,
                link=report.link,
                account=report.account,
                region=report.region,
                scanned_at=report.scanned_at,
                image_state=image_state_of(report, policy().thresholds, None),
                event_id="new",
            ),
            before=ImageState(),
            first_event="new",
        )
    }
    expires_at = people.ledger.expiries[DAILY, "team/api", DIGEST]
    assert expires_at == int((people.now + timedelta(days=180)).timestamp())


def test_a_reminder_in_a_digest_says_that_it_is_one() -> None:
    people = digest_people()
    people.scan(2)
    people.ledger.digests.clear()
    people.now += timedelta(days=30)
    people.scan(2)
    (entry,) = people.ledger.digests.values()
    assert entry.image.is_reminder


def test_a_digest_names_an_image_elsewhere_by_its_registry() -> None:
    people = digest_people()
    people.scan(1, is_elsewhere=True, account="210987654321", region="eu-west-1")
    assert [*people.ledger.digests] == [(DAILY, "210987654321:eu-west-1:team/api", DIGEST)]


def test_a_digest_does_not_list_what_has_gone_meanwhile() -> None:
    people = digest_people()
    people.scan(4)
    people.scan(2)  # better: nobody is told, but the digest must not tell of four
    assert digests(people) == [(0, 2)]


def test_a_retry_corrects_what_a_digest_lists() -> None:
    people = digest_people()
    people.scan(4)
    people.ledger.refused = {"correct"}
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now + HOUR)
    with pytest.raises(LedgerUnavailable):
        people.tell(report, "better")
    assert digests(people) == [(0, 4)]
    people.ledger.refused = set()
    assert not people.tell(report, "better", attempt=1).notify
    assert digests(people) == [(0, 2)]


def test_a_retry_that_comes_late_corrects_nothing() -> None:
    people = digest_people()
    people.scan(4)
    report = any_scan_report(severities={"CRITICAL": 2}, scanned_at=people.now + HOUR)
    people.tell(report, "better")
    people.now += HOUR
    people.scan(5)
    people.ledger.calls.clear()
    people.tell(report, "better", attempt=1)
    assert people.ledger.calls["correct"] == 0
    assert digests(people) == [(0, 5)]


def test_what_is_reported_corrects_nothing() -> None:
    people = digest_people()
    report = any_scan_report()
    for attempt in range(2):
        people.tell(report, "told", attempt)
    assert people.ledger.calls["correct"] == 0


def test_what_is_critical_breaks_through() -> None:
    people = digest_people(ImmediateFrom.CRITICAL)
    assert people.scan("FAILED").deliveries
    assert len(digests(people)) == 1
    told = people.scan(1)
    assert len(told.deliveries) == len(Channel)
    assert digests(people) == []
    people.scan(0)
    assert digests(people) == [(1, 0)]


def test_only_what_has_become_more_breaks_through() -> None:
    people = digest_people(ImmediateFrom.HIGH)
    people.scan(1)
    medium = {"CRITICAL": 1, "MEDIUM": 5}
    people.now += HOUR
    told = people.tell(any_scan_report(severities=medium, scanned_at=people.now), "medium")
    assert told.notify
    assert Channel.SLACK not in {each.channel for each in told.deliveries}


def test_without_a_memory_nothing_is_left_to_a_digest() -> None:
    people = digest_people()
    assert len(people.scan(1, image_digest=None).deliveries) == len(Channel)
