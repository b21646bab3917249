"""Digests in words, and in every channel whatever stands in a name."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.changes import Cause, Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange, DigestEntry
from ledger.image_records import ImageState
from reporting.channels.delivery import Channel, Delivery
from reporting.decision import NotifyOn
from reporting.digest_wording import message_of_digest
from reporting.message import Level, Line, Message, Value, plain
from reporting.reports import DigestReport
from reporting.text import sendable
from runtime.messages import encode, wire
from send_digest.contents import DigestPolicy, contents_of
from send_digest.digest import DigestRequest, report_of, shortened
from tests.support.clock import NOW
from tests.support.digests import BAD, FAILED, WELL, WORSE, FakeDigestEntries, any_change, any_entry
from tests.support.events import HOSTILE, LONG, hostile_texts
from tests.support.fakes import FakeBucket
from tests.support.reports import EVERY_CHANNEL, complaints_about, structure_of

REQUEST = DigestRequest(
    "arn:aws:states:eu-central-1:123456789012:execution:ecr-rescan-SendDigest:digest-1"
)
CHANNELS = replace(EVERY_CHANNEL, digest_channels=frozenset(Channel) - {Channel.PAGERDUTY})
FEWER = ImageState({"CRITICAL": 1, "HIGH": 0}, ("CRITICAL",))


A = ChangedFinding(
    name="CVE-2026-31337",
    package="openssl",
    severity="CRITICAL",
    version="3.0.11-1",
    fixed_in="3.0.12",
    score=9.8,
    uri="https://nvd.nist.gov/vuln/detail/CVE-2026-31337",
)
B = ChangedFinding("CVE-2026-20411", "libxml2", "HIGH")
C = ChangedFinding("CVE-2025-4802", "libc6", "HIGH")
POLICY = DigestPolicy(frozenset(NotifyOn), timedelta(days=30))


def reported(*given: DigestChange | DigestEntry, policy: DigestPolicy = POLICY) -> DigestReport:
    entries = FakeDigestEntries(*given)
    contents = contents_of(tuple(entries.entries_of("any")), entries.changes_of("any"), policy)
    return shortened(report_of(contents, REQUEST, FakeBucket().as_bucket, NOW))


def worded(*given: DigestChange | DigestEntry) -> Message:
    return message_of_digest(reported(*given))


def sent(*given: DigestChange | DigestEntry) -> tuple[Delivery, ...]:
    report = reported(*given)
    return CHANNELS.digest(message_of_digest(report), report, now=NOW)


def news(number: int, *found: ChangedFinding, **given: Any) -> DigestChange:
    """Make a change of an image in which some findings are new."""
    by_name = FindingsChange(new=found, gone=given.pop("gone", ()))
    return any_change(number, BAD, WORSE, **{"change": Change.WORSE, "by_name": by_name, **given})


def lines(message: Message) -> dict[str, list[str]]:
    return {each.heading: list(map(plain, each.all_lines)) for each in message.sections}


def said(lines: Iterable[Line]) -> list[str]:
    return list(map(plain, lines))


def test_one_vulnerability_in_many_images_is_the_title() -> None:
    spread = (news(number, A, repository=f"team/{number % 12}") for number in range(40))
    message = worded(*spread)
    assert plain(message.title) == (
        "Digest: 1 new critical vulnerability, CVE-2026-31337 in openssl, in 40 images"
    )
    assert said(message.headlines) == [
        "ECR digest: 1 new critical, CVE-2026-31337 in openssl, in 40 images",
        "ECR digest: 1 new critical, CVE-2026-31337, in 40 images",
    ]
    assert said(message.texts) == [
        "ECR: CVE-2026-31337 (critical, openssl) is new in 40 images, 12 repositories. "
        "See the digest.",
        "ECR: CVE-2026-31337 (critical) is new in 40 images. See the digest.",
    ]
    assert len(plain(message.headlines[0])) <= 69
    assert len(plain(message.texts[0])) <= 96
    assert lines(message) == {
        "New": [
            "CVE-2026-31337 critical · openssl 3.0.11-1 · fixed in 3.0.12 · CVSS 9.8 · "
            "40 images in 12 repositories: team/api-0:v1, team/api-12:v1, team/api-24:v1 "
            "and 37 more"
        ]
    }
    assert message.level is Level.CRITICAL
    assert said(line for _, line in message.counts) == ["40 worse"]


def test_the_image_of_a_single_vulnerability_is_a_link_whatever_its_name() -> None:
    message = worded(news(1, replace(A, package="", version="", fixed_in="", score=0.0)))
    assert (
        plain(message.title) == "Digest: 1 new critical vulnerability, CVE-2026-31337, in 1 image"
    )
    assert said(message.texts)[0] == (
        "ECR: CVE-2026-31337 (critical) is new in 1 image. See the digest."
    )
    (line,) = message.sections[0].lines
    assert plain(line) == "CVE-2026-31337 critical · team/api-1:v1"
    links = [part.link for part in line if isinstance(part, Value)]
    assert links == [A.uri, "https://console.aws.amazon.com/ecr/any/1"]


@pytest.mark.parametrize(
    ("by_name", "title", "headline", "texts", "line"),
    [
        (
            FindingsChange(back=(B,)),
            "Digest: 1 high vulnerability is back, CVE-2026-20411 in libxml2, in 1 image",
            "ECR digest: 1 high back, CVE-2026-20411 in libxml2, in 1 image",
            [
                "ECR: CVE-2026-20411 (high, libxml2) is back in 1 image. See the digest.",
                "ECR: CVE-2026-20411 (high) is back in 1 image. See the digest.",
            ],
            "CVE-2026-20411 high · libxml2 · back · team/api-1:v1",
        ),
        (
            FindingsChange(worse=(replace(B, was="LOW"),)),
            "Digest: 1 vulnerability is now rated high, CVE-2026-20411 in libxml2, in 1 image",
            "ECR digest: 1 now rated high, CVE-2026-20411 in libxml2, in 1 image",
            [
                "ECR: CVE-2026-20411 (libxml2) is now rated high in 1 image. See the digest.",
                "ECR: CVE-2026-20411 is now rated high in 1 image. See the digest.",
            ],
            "CVE-2026-20411 high · libxml2 · was low · team/api-1:v1",
        ),
        (
            FindingsChange(ended=(B,)),
            "Digest: 1 high vulnerability is no longer accepted, CVE-2026-20411 in libxml2, "
            "in 1 image",
            "ECR digest: 1 high no longer accepted, CVE-2026-20411 in libxml2, in 1 image",
            [
                "ECR: CVE-2026-20411 (high, libxml2) is no longer accepted in 1 image. "
                "See the digest.",
                "ECR: CVE-2026-20411 (high) is no longer accepted in 1 image. See the digest.",
            ],
            "CVE-2026-20411 high · libxml2 · no longer accepted · team/api-1:v1",
        ),
    ],
)
def test_says_what_is_new_about_a_vulnerability(
    by_name: FindingsChange, title: str, headline: str, texts: list[str], line: str
) -> None:
    message = worded(any_change(1, BAD, WORSE, change=Change.WORSE, by_name=by_name))
    assert plain(message.title) == title
    assert said(message.headlines)[0] == headline
    assert said(message.texts) == texts
    assert lines(message) == {"New": [line]}


def test_counts_several_vulnerabilities_by_severity() -> None:
    message = worded(news(1, A, B), news(2, B, C), news(3))
    assert plain(message.title) == "Digest: 3 new vulnerabilities (1 critical, 2 high) in 2 images"
    assert said(message.headlines)[-1] == "ECR digest: 3 new vulnerabilities in 2 images"
    assert said(message.texts)[0] == (
        "ECR: 3 new vulnerabilities (1 critical, 2 high) in 2 images. See the digest."
    )
    back = any_change(3, BAD, WORSE, change=Change.WORSE, by_name=FindingsChange(back=(C,)))
    assert plain(worded(news(1, A), back).title) == (
        "Digest: 2 new or worse vulnerabilities (1 critical, 1 high) in 2 images"
    )


def test_lists_the_worst_then_the_most_widespread_vulnerabilities() -> None:
    more = [replace(B, name=f"CVE-2026-9{number:02}") for number in range(20)]
    message = worded(news(1, A, *more), news(2, more[7]))
    names = [line.split()[0] for line in lines(message)["New"]]
    assert names[:3] == ["CVE-2026-31337", "CVE-2026-907", "CVE-2026-900"]
    assert lines(message)["New"][-1] == "and 11 more"
    assert len(names) == 11


def test_says_what_is_fixed_accepted_and_rated_lower() -> None:
    change = FindingsChange(
        new=(A,),
        gone=(B,),
        accepted=(replace(C, package=""),),
        better=(replace(B, name="CVE-2026-5", severity="LOW", was="HIGH"),),
    )
    message = worded(any_change(1, WORSE, BAD, change=Change.WORSE, by_name=change))
    assert lines(message)["Fixed, accepted, or rated lower"] == [
        "CVE-2025-4802 accepted · team/api-1:v1",
        "CVE-2026-20411 (libxml2) · team/api-1:v1",
        "CVE-2026-5 (libxml2) now low · team/api-1:v1",
    ]
    fixed = any_change(2, WORSE, BAD, change=Change.WORSE, by_name=FindingsChange(gone=(B,)))
    assert lines(worded(fixed))["Fixed"] == ["CVE-2026-20411 (libxml2) · team/api-2:v1"]


def test_a_vulnerability_in_several_packages_names_them_without_a_version() -> None:
    message = worded(news(1, A, replace(A, package="libssl3")))
    assert lines(message)["New"] == [
        "CVE-2026-31337 critical · openssl, libssl3 · CVSS 9.8 · team/api-1:v1"
    ]


def test_says_which_images_failed_are_clear_and_can_be_scanned_again() -> None:
    accepted = FindingsChange(accepted=(A,))
    again = {"change": Change.CLEARED, "cause": Cause.END_OF_FAILURE, "by_name": FindingsChange()}
    message = worded(
        any_change(1, BAD, FAILED, change=Change.FAILED),
        any_change(2, BAD, WELL, change=Change.CLEARED, by_name=FindingsChange(gone=(A,))),
        any_change(3, BAD, WELL, change=Change.CLEARED, by_name=accepted),
        any_change(4, FAILED, WELL, **again),
        any_change(5, replace(BAD, failed=True), BAD, **again),
    )
    assert plain(message.title) == "Digest: 5 images changed (1 failed, 4 cleared)"
    assert said(message.headlines) == ["ECR digest: 5 images changed (1 failed, 4 cleared)"]
    assert said(message.texts) == ["ECR: 5 images changed (1 failed, 4 cleared). See the digest."]
    less = "\N{MINUS SIGN}1 critical, \N{MINUS SIGN}2 high"
    assert lines(message) == {
        "Fixed, accepted, or rated lower": [
            "CVE-2026-31337 (openssl) · team/api-2:v1",
            "CVE-2026-31337 (openssl) accepted · team/api-3:v1",
        ],
        "Scan failed": ["team/api-1:v1"],
        "Clear": [f"team/api-2:v1: {less}", f"team/api-3:v1 all accepted: {less}"],
        "Can be scanned again": ["team/api-5:v1: 1 critical, 2 high", "team/api-4:v1"],
    }
    assert message.level is Level.CRITICAL


@pytest.mark.parametrize(
    ("before", "image_state", "heading", "line"),
    [
        (WELL, BAD, "Compared by number alone", "team/api-1:v1 new: 1 critical, 2 high"),
        (BAD, WORSE, "Compared by number alone", "team/api-1:v1 worse: 3 critical (+2), 2 high"),
        (
            BAD,
            FEWER,
            "Compared by number alone",
            "team/api-1:v1 better: 1 critical, \N{MINUS SIGN}2 high",
        ),
        (BAD, BAD, "Images", "team/api-1:v1 unchanged: 1 critical, 2 high"),
        (WELL, WELL, "Images", "team/api-1:v1 nothing above a threshold"),
    ],
)
def test_says_what_has_changed_in_an_image_that_is_compared_by_number(
    before: ImageState, image_state: ImageState, heading: str, line: str
) -> None:
    assert lines(worded(any_entry(1, before, image_state))) == {heading: [line]}


def test_says_which_image_has_the_tag_by_now() -> None:
    at = NOW + timedelta(minutes=1)
    message = worded(
        any_entry(1, BAD, FAILED),
        any_entry(2, WELL, BAD, image="team/api-1:v1", scanned_at=at),
    )
    assert lines(message)["Scan failed"] == ["team/api-1:v1 · replaced by sha256:000000000000…"]
    assert lines(message)["Compared by number alone"] == ["team/api-1:v1 new: 1 critical, 2 high"]


@pytest.mark.parametrize(
    ("image_state", "level"),
    [
        (BAD, Level.CRITICAL),
        (ImageState({"LOW": 1}, ("LOW",)), Level.LOW),
        (ImageState({"OTHER": 1}, ("OTHER",)), Level.INFO),
        (FAILED, Level.INFO),
        (WELL, Level.OK),
    ],
)
def test_is_as_bad_as_the_worst_image(image_state: Any, level: Level) -> None:
    message = worded(any_entry(1, BAD, WELL), any_entry(2, replace(BAD, counts={}), image_state))
    assert message.level is level


def test_is_as_bad_as_the_worst_vulnerability_that_is_new() -> None:
    assert worded(news(1, B), any_entry(2, WELL, FAILED)).level is Level.HIGH


def test_counts_images_by_change() -> None:
    message = worded(any_entry(1), any_entry(2), any_entry(3, BAD, WORSE), any_entry(4, BAD, WELL))
    assert plain(message.title) == "Digest: 4 images changed (2 new, 1 worse, 1 cleared)"
    assert said(line for _, line in message.counts) == ["2 new", "1 worse", "1 cleared"]
    assert message.counts_heading == "Changed images"
    assert worded(any_entry(1), any_entry(2, BAD, BAD)).counts_heading == "Images"
    assert plain(worded(any_entry(1)).title) == "Digest: 1 image changed (1 new)"


def test_says_how_many_more_there_are_and_where() -> None:
    message = worded(*(any_entry(number) for number in range(1_200)))
    assert len(message.sections[0].lines) == 20
    assert said(message.remarks) == ["1,180 more images are listed only in the full digest."]
    (one_more,) = worded(*(any_entry(number) for number in range(21))).remarks
    assert plain(one_more) == "1 more image is listed only in the full digest."
    facts = {name: plain(line) for name, line in message.facts}
    assert facts["Document"] == "s3://run-bucket/digests/digest-1.json"


def test_says_where_more_has_changed_than_is_kept() -> None:
    cut = {"by_name": FindingsChange(new=(A,), omitted={"new": 7})}
    assert said(worded(news(1, A, **cut)).remarks) == [
        "In 1 image, more findings have changed than this digest counts."
    ]
    assert said(worded(news(1, A, **cut), news(2, A, **cut)).remarks) == [
        "In 2 images, more findings have changed than this digest counts."
    ]


def first_sight(number: int, *found: ChangedFinding, image_state: ImageState = BAD) -> DigestChange:
    return any_change(
        number, ImageState(), image_state, by_name=FindingsChange(new=found), is_first_sight=True
    )


HIGH = ImageState({"CRITICAL": 0, "HIGH": 1}, ("HIGH",))


def test_first_scans_are_a_baseline() -> None:
    """Message 5 of six."""
    images = [first_sight(number, A, B) for number in range(10)]
    images += [first_sight(number, B, image_state=HIGH) for number in range(10, 30)]
    message = worded(*images, news(100, C))
    assert (
        plain(message.title)
        == "Baseline: 30 images above a threshold, 10 of them with critical vulnerabilities"
    )
    assert said(message.headlines) == [
        "ECR baseline: 30 images above a threshold, 10 with critical vulnerabilities",
        "ECR baseline: 30 images above a threshold",
    ]
    assert said(message.texts) == [
        "ECR baseline: 30 images above a threshold, 10 with critical vulnerabilities. "
        "See the digest."
    ]
    assert said(message.lead) == [
        "These are the first results that ecr-rescan knows of these images. They are the starting "
        "point: from now on, only changes are reported."
    ]
    assert (message.counts_heading, message.counts) == ("", ())  # of the images besides
    found = lines(message)
    assert list(found) == ["New", "Most widespread", "Most affected"]
    assert [line[:50] for line in found["Most widespread"]] == [
        "CVE-2026-31337 critical · openssl 3.0.11-1 · fixed",
        "CVE-2026-20411 high · libxml2 · 30 images in 30 re",
    ]
    assert found["Most affected"][0] == "team/api-0:v1: 1 critical, 2 high"
    assert found["Most affected"][5:] == ["and 25 more"]


def test_first_scans_beside_more_changes_are_a_section() -> None:
    message = worded(*(first_sight(number, A) for number in range(7)), *map(news, range(10, 20)))
    assert plain(message.title) == "Digest: 10 images changed (10 worse)"
    section = lines(message)["First results"]
    assert (section[0], section[5:]) == ("team/api-0:v1: 1 critical, 2 high", ["and 2 more"])
    assert message.lead == ()


def test_an_image_without_critical_findings_makes_a_baseline_without_them() -> None:
    message = worded(first_sight(1, B, image_state=ImageState({"OTHER": 1}, ("OTHER",))))
    assert plain(message.title) == (
        "Baseline: 1 image above a threshold, 1 of them with other vulnerabilities"
    )


def test_a_baseline_says_nothing_of_severities_that_no_image_has() -> None:
    message = worded(first_sight(1, B, image_state=ImageState()))
    assert plain(message.title) == "Baseline: 1 image above a threshold"


def reminder(number: int, image_state: ImageState = BAD, **given: Any) -> DigestChange:
    given = {"change": Change.UNCHANGED, "is_reminder": True, **given}
    return any_change(number, image_state, image_state, **given)


OLDEST = ChangedFinding("CVE-2025-15467", "openssl", "CRITICAL", first_seen="2026-03-03")


def test_reminders_alone_are_a_message_of_their_own() -> None:
    """Message 6 of six."""
    high = ImageState({"CRITICAL": 0, "HIGH": 1}, ("HIGH",))
    spread = (
        reminder(each, still_open=(OLDEST,), repository=f"team/{each % 31}") for each in range(212)
    )
    message = worded(
        *spread,
        *map(reminder, range(212, 310)),
        *(reminder(each, high) for each in range(310, 1_204)),
    )
    assert plain(message.title) == "Reminder: 1,204 images are still above a threshold"
    assert said(message.headlines) == ["ECR reminder: 1,204 images are still above a threshold"]
    assert said(message.texts) == [
        "ECR: 1,204 images are still above a threshold, 310 with critical findings. See the digest."
    ]
    assert len(said(message.texts)[0]) <= 96
    assert said(message.lead) == [
        "Nothing has changed for 30 days or more.",
        "Oldest critical: CVE-2025-15467 · openssl · open since 3 March · "
        "212 images in 31 repositories",
        "310 with critical findings, 1,204 with high findings. Fix them, or accept the risk in "
        "accepted-risks.yaml.",
    ]
    assert lines(message)["Worst"][0] == "team/api-0:v1: 1 critical, 2 high"
    assert lines(message)["Worst"][5:] == ["and 1,199 more"]
    assert message.level is Level.CRITICAL


def test_reminders_beside_changes_are_a_section() -> None:
    message = worded(reminder(1), reminder(2, FAILED), news(3, A))
    assert plain(message.title).startswith("Digest: 1 new critical vulnerability")
    assert lines(message)["Reminder"] == [
        "2 images are still above a threshold or failing, unchanged for 30 days or more, 1 with "
        "critical findings, 1 with high findings",
        "team/api-1:v1: 1 critical, 2 high",
        "team/api-2:v1 scan still fails",
    ]


def test_a_reminder_beside_changes_names_the_oldest_vulnerability_too() -> None:
    message = worded(reminder(1, still_open=(OLDEST,)), news(3, A))
    assert lines(message)["Reminder"][1:] == [
        "Oldest critical: CVE-2025-15467 · openssl · open since 3 March",
        "team/api-1:v1: 1 critical, 2 high",
    ]
    assert message.lead == ()


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (
            replace(OLDEST, is_seen_later=True),
            "Oldest critical: CVE-2025-15467 · openssl · open since 3 March or before · "
            "team/api-1:v1",
        ),
        (
            replace(OLDEST, first_seen="2025-11-03", package="", severity="HIGH"),
            "Oldest high: CVE-2025-15467 · open since 3 November 2025 · team/api-1:v1",
        ),
    ],
)
def test_says_since_when_the_oldest_vulnerability_is_open(
    finding: ChangedFinding, line: str
) -> None:
    (_, told, _) = worded(reminder(1, still_open=(finding,))).lead
    assert plain(told) == line
    links = [part.link for part in told if isinstance(part, Value)]
    assert links[-1] == "https://console.aws.amazon.com/ecr/any/1"


def test_a_message_has_a_few_of_the_images_of_the_oldest_vulnerability() -> None:
    report = reported(*(reminder(number, still_open=(OLDEST,)) for number in range(40)))
    assert report.reminders
    assert report.reminders.oldest
    assert (report.reminders.oldest.images, len(report.reminders.oldest.examples)) == (40, 3)


def test_a_reminder_names_the_oldest_vulnerability_in_every_channel() -> None:
    deliveries = sent(*(reminder(number, still_open=(OLDEST,)) for number in range(3)))
    assert {each.channel for each in deliveries} == set(Channel) - {Channel.PAGERDUTY}
    for each in deliveries:
        assert complaints_about(each) == []
        content = json.dumps(each.content, ensure_ascii=False)
        assert OLDEST.name in content
        if each.channel not in (Channel.WEBHOOK, Channel.EVENTBRIDGE):
            assert re.search(r"Oldest critical: .*openssl.* open since 3 March", content)


def test_reminders_of_scans_that_fail_say_so() -> None:
    message = worded(reminder(1, FAILED))
    assert plain(message.title) == "Reminder: 1 image whose scan still fails"
    assert said(message.lead) == ["Nothing has changed for 30 days or more."]


@pytest.mark.parametrize(
    ("remind_after", "words"), [(timedelta(days=1), "1 day"), (timedelta(hours=12), "12 hours")]
)
def test_says_for_how_long_nothing_has_changed(remind_after: timedelta, words: str) -> None:
    report = reported(reminder(1), policy=replace(POLICY, remind_after=remind_after))
    assert said(message_of_digest(report).lead)[0] == f"Nothing has changed for {words} or more."


def moved(number: int, before: ImageState, now: ImageState) -> DigestChange:
    return any_change(
        number, before, now, change=Change.UNCHANGED, cause=Cause.THRESHOLD, notify=False
    )


def limit(counts: dict[str, int], exceeded: tuple[str, ...], **thresholds: int) -> ImageState:
    return ImageState(counts, exceeded, thresholds=thresholds)


ABOVE_0, WITHIN_10 = limit({"HIGH": 3}, ("HIGH",), HIGH=0), limit({"HIGH": 3}, (), HIGH=10)
OFF, ON = limit({"LOW": 1}, ()), limit({"LOW": 1}, ("LOW",), LOW=0)
OTHER_ON, OTHER_OFF = limit({"OTHER": 1}, ("OTHER",), OTHER=0), limit({"OTHER": 1}, ())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            [moved(number, WITHIN_10, ABOVE_0) for number in range(1_204)],
            "HighThreshold is now 0: 1,204 images above it",
        ),
        (
            [moved(1, ABOVE_0, WITHIN_10)],
            "HighThreshold is now 10: 1 image no longer above it",
        ),
        ([moved(1, ON, OFF)], "LowThreshold is now off: 1 image no longer above it"),
        ([moved(1, OTHER_ON, OTHER_OFF)], "OtherThreshold is now off: 1 image no longer above it"),
        (
            [
                moved(1, ABOVE_0, WITHIN_10),
                moved(2, WITHIN_10, replace(ABOVE_0, thresholds={"HIGH": 10})),
            ],
            "HighThreshold is now 10: 1 image above it, 1 image no longer above it",
        ),
    ],
)
def test_a_moved_threshold_is_one_line(changes: list[DigestChange], line: str) -> None:
    message = worded(*changes)
    assert (plain(message.title), message.sections, message.counts) == (f"Digest: {line}", (), ())
    assert said(message.headlines) == [f"ECR digest: {line}"]
    assert message.level is Level.INFO
    assert lines(worded(*changes, news(9_000, A)))["Also"] == [line]


def in_line(number: int, cause: Cause, **given: Any) -> DigestChange:
    state = replace(WELL, **given)
    return any_change(number, WELL, state, change=Change.UNCHANGED, cause=cause, notify=False)


def test_says_in_one_line_each_what_is_the_same_for_many_images() -> None:
    message = worded(
        *(in_line(number, Cause.FIRST_OF_TYPE, scan_type="ENHANCED") for number in range(3)),
        *(in_line(number, Cause.NOT_MONITORED, is_monitored=False) for number in range(10, 17)),
        *(in_line(number, Cause.UNSUPPORTED, is_unsupported=True) for number in (20, 21)),
        in_line(30, Cause.UNSUPPORTED),  # scanned since then
        in_line(31, Cause.NOT_MONITORED),
    )
    first = "3 images had the first enhanced scan, which is not compared with earlier scans"
    assert plain(message.title) == f"Digest: {first}"
    assert lines(message) == {
        "Also": [
            "Amazon Inspector no longer monitors 7 images: team/api-10:v1, team/api-11:v1, "
            "team/api-12:v1, team/api-13:v1, team/api-14:v1 and 2 more",
            "ECR cannot scan images of 2 repositories: team/api-20, team/api-21",
        ]
    }


def test_the_one_image_that_is_no_longer_monitored_is_a_link() -> None:
    message = worded(in_line(1, Cause.NOT_MONITORED, is_monitored=False))
    assert (
        plain(message.title) == "Digest: Amazon Inspector no longer monitors 1 image: team/api-1:v1"
    )
    assert [part.link for part in message.title if isinstance(part, Value)] == [
        "https://console.aws.amazon.com/ecr/any/1"
    ]


names = st.lists(hostile_texts, min_size=3, max_size=3, unique_by=sendable)


def sent_of_images(names: list[str]) -> tuple[Delivery, ...]:
    """Send a digest of images with these names, in their order.

    Slack links a name that is plain; none of these is, so that all are shown alike.
    """
    return sent(
        *(
            any_entry(
                number,
                image_state=ImageState({"CRITICAL": 9 - number}, ("CRITICAL",)),
                image=f"{name} é",
                repository=name,
            )
            for number, name in enumerate(names)
        )
    )


@settings(max_examples=8)
@given(names)
@example(list(HOSTILE[:6]))
@example(list(HOSTILE[6:12]))
@example(list(HOSTILE[12:18]))
def test_a_digest_is_read_alike_with_harmless_names(names: list[str]) -> None:
    numbers = count(0x100)
    harmless = ["é" * (len(name) - 1) + chr(next(numbers)) for name in names]
    told, expected = (sent_of_images(each) for each in (list(map(sendable, names)), harmless))
    assert [said for each in told for said in complaints_about(each)] == []
    assert [structure_of(each) for each in told] == [structure_of(each) for each in expected]


def sent_of_reminders(names: list[str]) -> tuple[Delivery, ...]:
    """Send a digest of reminders, in which one of the names is of the oldest vulnerability."""
    vulnerability, package, image = names
    finding = replace(OLDEST, name=f"{vulnerability} é", package=package)
    named = {"image": f"{image} é", "repository": image, "still_open": (finding,)}
    return sent(reminder(1, **named))


@settings(max_examples=8)
@given(names)
@example(list(HOSTILE[:3]))
@example(list(HOSTILE[6:9]))
@example(list(HOSTILE[12:15]))
def test_a_reminder_is_read_alike_with_harmless_names(names: list[str]) -> None:
    numbers = count(0x100)
    harmless = ["é" * (len(name) - 1) + chr(next(numbers)) for name in names]
    told, expected = (sent_of_reminders(each) for each in (list(map(sendable, names)), harmless))
    assert [said for each in told for said in complaints_about(each)] == []
    assert [structure_of(each) for each in told] == [structure_of(each) for each in expected]


@pytest.mark.parametrize("word", [LONG[1], "\N{PILE OF POO}" * 300, '"\\' * 150])
def test_long_names_leave_room_for_every_channel(word: str) -> None:
    name = sendable(word)[:300]
    deliveries = sent(
        *(
            any_entry(number, image=name, repository=name, link=f"https://aws.example/{'x' * 900}")
            for number in range(100)
        )
    )
    assert len(deliveries) == 6
    assert [said for each in deliveries for said in complaints_about(each)] == []
    assert len(wire(encode(deliveries))) < 200 * 1024
    finding = replace(OLDEST, name=name, package=name)
    reminders = sent(*(reminder(each, still_open=(finding,), image=name) for each in range(100)))
    assert [said for each in reminders for said in complaints_about(each)] == []
    assert len(wire(encode(reminders))) < 200 * 1024
