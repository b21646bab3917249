"""What of many changes a digest contains, and in which order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.changes import Cause, Change, ChangedFinding, FindingsChange
from ledger.digest_entries import DigestChange, DigestEntry, sort_key
from ledger.image_records import ImageState
from reporting.decision import NotifyOn
from reporting.reports import (
    DigestedGroup,
    DigestedImage,
    DigestedVulnerability,
    MovedThreshold,
    NamedImage,
    News,
)
from send_digest import contents as module
from send_digest.contents import Contents, DigestPolicy, ReportedImage, contents_of
from tests.support.clock import NOW
from tests.support.digests import (
    BAD,
    EXPIRES_AT,
    FAILED,
    WELL,
    WORSE,
    FakeDigestEntries,
    any_change,
    any_entry,
)
from tests.support.reports import DEFAULT_NOTIFY_ON

A = ChangedFinding("CVE-2026-1", "openssl", "CRITICAL")
B = ChangedFinding("CVE-2026-2", "zlib", "HIGH")
FEWER = ImageState({"CRITICAL": 1, "HIGH": 1}, ("CRITICAL", "HIGH"))


def contents(
    *given: DigestChange | DigestEntry, notify_on: frozenset[NotifyOn] = DEFAULT_NOTIFY_ON
) -> Contents:
    entries = FakeDigestEntries(*given)
    policy = DigestPolicy(notify_on, timedelta(days=30))
    return contents_of(tuple(entries.entries_of("any")), entries.changes_of("any"), policy)


def listed(found: Contents) -> dict[str, Change]:
    return {each.repository: each.change for each in found.images}


def step(
    before: ImageState, image_state: ImageState, minutes: int, kind: Change, **given: Any
) -> DigestChange:
    by_name = FindingsChange(
        **{name: given.pop(name) for name in ("new", "gone", "spread") if name in given}
    )
    given = {"change": kind, "by_name": by_name, **given}
    return any_change(1, before, image_state, minutes=minutes, **given)


def test_is_empty_without_entries() -> None:
    found = contents()
    assert (found.has_entries, found.is_empty, found.count) == (False, True, 0)


def test_knows_what_it_was_read_from() -> None:
    changes = [any_change(1), any_change(1, minutes=1, is_told=True), any_change(2)]
    found = contents(any_entry(3), *changes)
    assert found.keys == list(map(sort_key, changes))
    assert found.entries == (any_entry(3),)
    assert contents(any_entry(3)).has_entries
    assert contents(changes[0]).has_entries


def test_folds_an_entry_of_version_0_3_0_with_the_changes_since_then() -> None:
    """The image was worse, and has returned to its first state: nothing is left to report."""
    entry = any_entry(1, BAD, WORSE)
    back = any_change(1, WORSE, BAD, minutes=1, change=Change.BETTER, notify=False)
    found = contents(entry, back)
    assert (found.count, found.keys, found.entries) == (0, [sort_key(back)], (entry,))
    assert listed(contents(entry)) == {"team/api-1": Change.WORSE}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ([step(WELL, BAD, 0, Change.NEW, new=(A,))], Change.NEW),
        ([step(WELL, BAD, 0, Change.NEW, new=(A,), notify=False)], None),
        # Changes that cancel each other out.
        (
            [
                step(WELL, BAD, 0, Change.NEW, new=(A,)),
                step(BAD, WELL, 1, Change.CLEARED, gone=(A,)),
            ],
            None,
        ),
        # NotifyOn excludes BETTER, alone and as what several changes amount to.
        (
            [
                step(BAD, WORSE, 0, Change.WORSE, new=(A,)),
                step(WORSE, FEWER, 1, Change.BETTER, gone=(A, B), notify=False),
            ],
            None,
        ),
        # An excluded change that is part of what several amount to.
        (
            [
                step(BAD, FEWER, 0, Change.BETTER, gone=(B,), notify=False),
                step(FEWER, WORSE, 1, Change.WORSE, new=(A,)),
            ],
            Change.WORSE,
        ),
        # The end of a failure, and nothing else, after a failure that was reported.
        (
            [step(FAILED, FAILED, 0, Change.UNCHANGED), step(FAILED, WELL, 1, Change.CLEARED)],
            Change.CLEARED,
        ),
    ],
)
def test_lists_what_the_changes_of_an_image_amount_to(
    changes: list[DigestChange], kind: Change | None
) -> None:
    assert listed(contents(*changes)) == ({"team/api-1": kind} if kind else {})


REMAINS = [
    step(BAD, BAD, 0, Change.UNCHANGED, is_reminder=True),
    step(BAD, BAD, 1, Change.UNCHANGED, spread=(A,), notify=False),
]


def test_a_reminder_remains_one_until_the_image_changes() -> None:
    found = contents(*REMAINS)
    assert (len(found.reminders), found.images) == (1, [])
    found = contents(*REMAINS, step(BAD, WORSE, 2, Change.WORSE, new=(B,)))
    assert (found.reminders, listed(found)) == ([], {"team/api-1": Change.WORSE})
    found = contents(*REMAINS, step(BAD, WELL, 2, Change.CLEARED, gone=(B,), notify=False))
    assert (found.reminders, listed(found)) == ([], {"team/api-1": Change.CLEARED})


def still_open(number: int, *found: ChangedFinding, **given: Any) -> DigestChange:
    given = {"change": Change.UNCHANGED, "is_reminder": True, "still_open": found, **given}
    return any_change(number, BAD, given.pop("image_state", BAD), **given)


def since(finding: ChangedFinding, day: str, **given: Any) -> ChangedFinding:
    return replace(finding, first_seen=day, **given)


def oldest(*changes: DigestChange) -> DigestedVulnerability | None:
    group = contents(*changes).reminder_group()
    assert group
    return group.oldest


NEWER, OLDER = "2026-02-03", "2025-12-31"


def test_the_oldest_vulnerability_of_reminders_is_one_of_the_worst_severity() -> None:
    libssl = since(A, NEWER, package="libssl3", is_seen_later=True)
    found = oldest(
        still_open(1, since(A, NEWER), since(B, OLDER)),
        still_open(2, since(A, OLDER), libssl, repository="team/api-1"),
        still_open(3, libssl),
        still_open(4, since(B, OLDER)),
        still_open(5),
        any_change(6, BAD, WORSE, change=Change.WORSE, by_name=FindingsChange(new=(A,))),
    )
    assert found == DigestedVulnerability(
        name=A.name,
        news=News.STILL_OPEN,
        severity="CRITICAL",
        packages=("openssl", "libssl3"),
        images=3,
        repositories=2,
        examples=tuple(
            NamedImage(f"team/api-{each}:v1", f"https://console.aws.amazon.com/ecr/any/{each}")
            for each in (1, 2, 3)
        ),
        first_seen=OLDER,
    )


def test_the_oldest_vulnerability_may_be_older_than_the_first_scan_that_showed_it() -> None:
    known, read_later = since(A, OLDER), since(A, OLDER, is_seen_later=True)
    for findings in ((known, read_later), (read_later, known)):
        found = oldest(*(still_open(number, each) for number, each in enumerate(findings)))
        assert found
        assert (found.first_seen, found.is_seen_later) == (OLDER, True)


@pytest.mark.parametrize(
    ("findings", "name"),
    [
        # The first day, then the most images, then the name.
        ([(since(A, NEWER),), (since(A, NEWER), since(A, OLDER, name="Z"))], "Z"),
        ([(since(A, OLDER), since(A, OLDER, name="Z")), (since(A, OLDER, name="Z"),)], "Z"),
        ([(since(A, OLDER, name="Z"), since(A, OLDER))], A.name),
        # The worst severity counts, though it is younger.
        ([(since(B, OLDER),), (since(A, NEWER),)], A.name),
        ([(since(B, OLDER),), ()], B.name),
        # A severity whose threshold is no longer exceeded, and one that AWS does not document.
        ([(since(A, OLDER, severity="LOW"), since(B, NEWER))], B.name),
        ([(since(A, OLDER, severity="UNTRIAGED"),)], None),
    ],
)
def test_picks_the_oldest_vulnerability(
    findings: list[tuple[ChangedFinding, ...]], name: str | None
) -> None:
    found = oldest(*(still_open(number, *each) for number, each in enumerate(findings)))
    assert (found and found.name) == name


def test_a_severity_that_aws_does_not_document_counts_as_other() -> None:
    state = ImageState({"OTHER": 1}, ("OTHER",))
    found = oldest(still_open(1, since(A, OLDER, severity="UNTRIAGED"), image_state=state))
    assert found
    assert (found.name, found.severity) == (A.name, "UNTRIAGED")


def test_an_image_that_is_no_reminder_any_more_does_not_count_for_the_oldest() -> None:
    given = still_open(1, since(A, OLDER)), still_open(2, since(B, NEWER))
    changed = any_change(
        1, BAD, WORSE, minutes=1, change=Change.WORSE, by_name=FindingsChange(new=(B,))
    )
    found = oldest(*given, changed)
    assert found
    assert (found.name, found.images) == (B.name, 1)
    assert contents(given[0], changed).reminder_group() is None


def test_lists_unchanged_images_where_notify_on_has_them() -> None:
    unchanged = DEFAULT_NOTIFY_ON | {NotifyOn.UNCHANGED}
    twice = [step(BAD, BAD, minutes, Change.UNCHANGED) for minutes in (0, 1)]
    assert listed(contents(*twice, notify_on=unchanged)) == {"team/api-1": Change.UNCHANGED}
    assert listed(contents(*twice)) == {}
    well = [step(WELL, WELL, minutes, Change.UNCHANGED) for minutes in (0, 1)]
    assert listed(contents(*well, notify_on=unchanged)) == {}
    moved = replace(twice[1], cause=Cause.THRESHOLD)
    assert listed(contents(twice[0], moved, notify_on=unchanged)) == {}
    assert listed(contents(replace(moved, notify=True), notify_on=unchanged)) == {}


@pytest.mark.parametrize("left_out", [NotifyOn.FAILED, NotifyOn.CLEARED])
def test_the_end_of_a_failure_is_listed_where_the_failure_itself_is(left_out: NotifyOn) -> None:
    notify_on = DEFAULT_NOTIFY_ON - {left_out}
    ended = [step(FAILED, FAILED, 0, Change.UNCHANGED), step(FAILED, WELL, 1, Change.CLEARED)]
    assert listed(contents(*ended, notify_on=notify_on)) == {}
    both = frozenset({NotifyOn.FAILED, NotifyOn.CLEARED})
    assert listed(contents(*ended, notify_on=both)) == {"team/api-1": Change.CLEARED}
    failed = replace(BAD, failed=True)
    still = [step(failed, failed, 0, Change.UNCHANGED), step(failed, BAD, 1, Change.CLEARED)]
    assert listed(contents(*still, notify_on=notify_on)) == {}


def test_an_image_that_had_failed_and_is_clear_is_cleared() -> None:
    failed = replace(BAD, failed=True)
    changes = [
        step(failed, failed, 0, Change.UNCHANGED),
        step(failed, WELL, 1, Change.CLEARED, gone=(A,)),
    ]
    notify_on = DEFAULT_NOTIFY_ON - {NotifyOn.FAILED}
    assert listed(contents(*changes, notify_on=notify_on)) == {"team/api-1": Change.CLEARED}


def test_counts_a_vulnerability_once_in_each_image_by_its_worst_severity() -> None:
    low = replace(A, package="libssl3", severity="LOW")
    found = contents(
        any_change(1, by_name=FindingsChange(new=(low,))),
        any_change(2, by_name=FindingsChange(new=(A, low), back=(replace(low, package="b"),))),
        any_change(3, by_name=FindingsChange(new=(low,)), repository="team/api-2"),
    )
    new, back = sorted(found.vulnerabilities, key=lambda it: it.news, reverse=True)
    assert (new.news, new.severity, new.images, new.repositories) == (News.NEW, "CRITICAL", 3, 2)
    assert new.packages == ("libssl3", "openssl")
    assert [each.image for each in new.examples] == [
        f"team/api-{number}:v1" for number in (1, 2, 3)
    ]
    assert (back.news, back.images) == (News.BACK, 1)
    assert found.images_with_news == 3


def test_names_a_few_packages_of_a_vulnerability_and_some_of_its_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_EXAMPLES", 2)
    packages = tuple(replace(A, package=f"package-{number:02}") for number in range(12))
    found = contents(
        *(any_change(number, by_name=FindingsChange(new=packages)) for number in (1, 2, 3))
    )
    (vulnerability,) = found.vulnerabilities
    assert vulnerability.packages == tuple(f"package-{number:02}" for number in range(10))
    assert (vulnerability.images, len(vulnerability.examples)) == (3, 2)


def test_what_has_gone_from_one_package_and_is_in_another_is_not_fixed() -> None:
    spread = FindingsChange(spread=(replace(A, package="libssl3"),), gone=(A, B))
    found = contents(any_change(1, BAD, BAD, change=Change.BETTER, by_name=spread))
    assert [each.name for each in found.fixed] == [B.name]
    assert found.vulnerabilities == ()


def test_the_worst_image_of_all_severities_is_the_first() -> None:
    found = contents(
        any_change(1, image_state=ImageState({"CRITICAL": 1, "LOW": 9}, ("CRITICAL", "LOW"))),
        any_change(2, image_state=ImageState({"CRITICAL": 1, "HIGH": 1}, ("CRITICAL", "HIGH"))),
        any_change(3, image_state=ImageState({"CRITICAL": 50}, ("CRITICAL",))),
        any_change(4, image_state=ImageState({"OTHER": 99}, ("OTHER",))),
        any_change(5, BAD, FAILED, change=Change.FAILED),
        any_change(6, BAD, WELL, change=Change.CLEARED),
        any_change(7, image_state=ImageState({"CRITICAL": 50}, ("CRITICAL",))),
    )
    repositories = [each.repository for each in found.listed(found.images)]
    assert repositories == [f"team/api-{number}" for number in (3, 7, 2, 1, 4, 5, 6)]


def test_an_image_that_a_run_scans_for_the_first_time_is_of_the_baseline() -> None:
    first = any_change(1, ImageState(), BAD, by_name=FindingsChange(new=(A,)), is_first_sight=True)
    failed = any_change(2, ImageState(), FAILED, change=Change.FAILED, is_first_sight=True)
    found = contents(first, failed)
    assert (listed(found), found.vulnerabilities) == ({"team/api-2": Change.FAILED}, ())
    group = found.baseline_group()
    assert group
    assert (group.count, group.repositories, group.severities) == (1, 1, {"CRITICAL": 1, "HIGH": 1})
    assert [each.name for each in group.vulnerabilities] == [A.name]
    assert contents(failed).baseline_group() is None


def test_a_first_scan_that_has_changed_since_then_is_of_the_baseline() -> None:
    first = step(ImageState(), BAD, 0, Change.NEW, new=(A,), is_first_sight=True)
    found = contents(first, step(BAD, WORSE, 1, Change.WORSE, new=(B,)))
    assert (found.images, len(found.baseline)) == ([], 1)
    (image,) = found.baseline
    assert image.severities == {"CRITICAL": 3, "HIGH": 2}
    group = found.baseline_group()
    assert group
    assert {each.name for each in group.vulnerabilities} == {A.name, B.name}


def test_a_threshold_of_which_version_0_3_0_knew_nothing_counts_by_what_exceeds_it() -> None:
    before = ImageState({"HIGH": 1, "LOW": 1}, ("LOW",))
    now = ImageState({"HIGH": 1, "LOW": 1}, ("HIGH", "LOW"), thresholds={"HIGH": 0, "LOW": 0})
    change = any_change(1, before, now, change=Change.UNCHANGED, cause=Cause.THRESHOLD)
    (moved,) = contents(replace(change, notify=False)).thresholds
    assert (moved.parameter, moved.threshold, moved.above, moved.below) == (
        "HighThreshold",
        0,
        1,
        0,
    )


def test_the_other_threshold_stands_for_several_severities() -> None:
    names = ("INFORMATIONAL", "UNDEFINED", "OTHER")
    before = ImageState(dict.fromkeys(names, 1), (), thresholds={"OTHER": 5})
    now = replace(before, exceeded=names, thresholds={"OTHER": 0})
    change = any_change(1, before, now, change=Change.UNCHANGED, cause=Cause.THRESHOLD)
    (moved,) = contents(replace(change, notify=False)).thresholds
    assert (moved.parameter, moved.threshold, moved.above) == ("OtherThreshold", 0, 1)


def test_an_image_without_the_tag_that_another_has_by_now_says_so() -> None:
    newer = any_change(2, image="team/api-1:v1", minutes=1)
    found = contents(any_change(1), newer)
    old, new = found.listed(found.images)
    assert (old.replaced_by, new.replaced_by) == (newer.image.image_digest, None)
    first = any_change(0, image="team/api-1:v1", minutes=1)
    found = contents(first, any_change(1))
    replaced = [each.replaced_by for each in found.listed(found.images)]
    assert replaced == [None, first.image.image_digest]
    told = contents(any_change(1), replace(newer, is_told=True))
    assert [each.replaced_by for each in told.listed(told.images)] == [newer.image.image_digest]


@pytest.mark.parametrize("elsewhere", [{"account": "999999999999"}, {"region": "us-east-1"}])
def test_an_image_of_the_same_name_elsewhere_replaces_none(elsewhere: dict[str, str]) -> None:
    newer = any_change(2, image="team/api-1:v1", minutes=1, **elsewhere)
    found = contents(any_change(1), newer)
    assert [each.replaced_by for each in found.listed(found.images)] == [None, None]


# What is said of each image, and of each vulnerability


def link(number: int) -> str:
    return f"https://console.aws.amazon.com/ecr/any/{number}"


def test_says_of_an_image_what_has_changed_since_the_last_digest() -> None:
    found = contents(
        step(BAD, WORSE, 0, Change.WORSE, new=(A,)),
        step(WORSE, FAILED, 1, Change.FAILED),
        step(FAILED, WORSE, 2, Change.UNCHANGED, new=(B,)),
    )
    assert found.images == [
        DigestedImage(
            image="team/api-1:v1",
            account="123456789012",
            region="eu-central-1",
            repository="team/api-1",
            image_digest=f"sha256:{1:064x}",
            link=link(1),
            scanned_at=NOW + timedelta(minutes=2),
            change=Change.WORSE,
            severities={"CRITICAL": 3, "HIGH": 2},
            difference={"CRITICAL": 2},
            is_by_name=True,
        )
    ]
    assert found.reported == [ReportedImage("team/api-1", f"sha256:{1:064x}", 1, EXPIRES_AT)]


def test_marks_an_image_by_what_is_known_of_it() -> None:
    accepted, gone = FindingsChange(accepted=(A,)), FindingsChange(accepted=(A,), gone=(B,))
    cleared: dict[str, Any] = {"before": BAD, "image_state": WELL, "change": Change.CLEARED}
    found = contents(
        any_change(1, **cleared, by_name=accepted),
        any_change(2, **cleared, by_name=gone),
        any_change(3, **cleared),
        any_change(4, BAD, FAILED, change=Change.FAILED, by_name=FindingsChange()),
        any_change(5, FAILED, WELL, change=Change.CLEARED),
        any_change(6, WELL, BAD, is_first_sight=True, change=Change.WORSE, by_name=accepted),
        any_change(7, WELL, BAD, is_reminder=True),
    )
    marks = [
        (it.is_accepted, it.is_by_name, it.is_end_of_failure, it.is_first_sight, it.is_reminder)
        for it in found.images
    ]
    assert marks == [
        (True, True, False, False, False),
        (False, True, False, False, False),
        (False, False, False, False, False),
        (False, False, False, False, False),
        (False, False, True, False, False),
        (False, True, False, True, False),
        (False, False, False, False, False),
    ]
    differences = [it.difference for it in found.images]
    fewer, more = {"CRITICAL": -1, "HIGH": -2}, {"CRITICAL": 1, "HIGH": 2}
    assert differences == [fewer, fewer, fewer, {}, {}, more, {}]
    assert [it.severities for it in found.images[2:4]] == [{}, {}]


def test_a_severity_that_is_not_counted_has_no_findings() -> None:
    (image,) = contents(any_change(1, image_state=ImageState({}, ("HIGH",)))).images
    assert image.severities == {"HIGH": 0}


def test_says_of_a_vulnerability_what_the_first_of_its_worst_findings_says() -> None:
    full: dict[str, Any] = {"fixed_in": "3.0.3", "uri": "https://any", "score": 9.8}
    full |= {"was": "HIGH", "has_exploit": True}
    low = replace(A, package="libssl3", severity="LOW", version="2")
    first, second = (replace(A, version=each, **full) for each in ("3.0.1", "3.0.2"))
    found = contents(
        any_change(1, by_name=FindingsChange(worse=(low,))),
        any_change(2, by_name=FindingsChange(worse=(low, first))),
        any_change(3, by_name=FindingsChange(worse=(second,))),
    )
    assert found.vulnerabilities == (
        DigestedVulnerability(
            name=A.name,
            news=News.RATED_HIGHER,
            severity="CRITICAL",
            packages=("libssl3", "openssl"),
            images=3,
            repositories=3,
            examples=tuple(NamedImage(f"team/api-{each}:v1", link(each)) for each in (1, 2, 3)),
            version="3.0.1",
            **full,
        ),
    )


def test_vulnerabilities_are_listed_by_severity_then_images_then_name() -> None:
    c, d = (replace(B, name=f"CVE-2026-{number}") for number in (3, 4))
    found = contents(
        any_change(1, by_name=FindingsChange(new=(d, c, B), ended=(A,))),
        any_change(2, by_name=FindingsChange(new=(d,))),
    )
    assert [each.name for each in found.vulnerabilities] == [A.name, d.name, B.name, c.name]
    news = {each.name: each.news for each in found.vulnerabilities}
    assert (news[A.name], news[B.name]) == (News.NO_LONGER_ACCEPTED, News.NEW)


def test_knows_what_is_fixed_rated_lower_and_accepted() -> None:
    c = replace(B, name="CVE-2026-3")
    lists = FindingsChange(gone=(A,), better=(B,), accepted=(c,))
    found = contents(any_change(1, WORSE, BAD, change=Change.BETTER, by_name=lists))
    assert {each.name: each.news for each in found.fixed} == {
        A.name: News.FIXED,
        B.name: News.RATED_LOWER,
        c.name: News.ACCEPTED,
    }
    assert (found.vulnerabilities, found.images_with_news) == ((), 0)


def test_counts_images_by_change_and_those_whose_findings_do_not_fit() -> None:
    cut = FindingsChange(new=(A,), omitted={"new": 7})
    found = contents(
        any_change(1, BAD, WELL, change=Change.CLEARED),
        any_change(2, BAD, FAILED, change=Change.FAILED),
        any_change(3, by_name=cut),
        any_change(4, by_name=cut),
        any_change(5, by_name=FindingsChange(new=(A,))),
    )
    assert list(found.changes.items()) == [(Change.NEW, 3), (Change.FAILED, 1), (Change.CLEARED, 1)]
    assert (found.images_cut, found.images_with_news, found.count) == (2, 3, 5)
    assert not found.is_empty


# What one line says of many images


def in_line(number: int, cause: Cause, state: ImageState = BAD, **given: Any) -> DigestChange:
    given = {"change": Change.UNCHANGED, "cause": cause, **given}
    return any_change(number, BAD, state, **given)


def test_counts_images_of_which_one_line_says_the_same() -> None:
    away, unsupported = replace(BAD, is_monitored=False), replace(BAD, is_unsupported=True)
    found = contents(
        in_line(1, Cause.FIRST_OF_TYPE, replace(BAD, scan_type="ENHANCED")),
        in_line(2, Cause.FIRST_OF_TYPE, replace(BAD, scan_type="ENHANCED"), notify=False),
        in_line(3, Cause.FIRST_OF_TYPE, replace(BAD, scan_type=None)),
        in_line(4, Cause.NOT_MONITORED, away),
        in_line(5, Cause.NOT_MONITORED),  # and monitored again
        in_line(6, Cause.UNSUPPORTED, unsupported, repository="team/any"),
        in_line(7, Cause.UNSUPPORTED, unsupported, repository="team/any"),
        in_line(8, Cause.UNSUPPORTED),  # and supported again
    )
    assert found.first_of_type == {"ENHANCED": 2, "": 1}
    assert found.not_monitored == [NamedImage("team/api-4:v1", link(4))]
    assert list(found.unsupported) == ["team/any"]
    assert (found.count, found.is_empty) == (0, False)


def test_counts_how_many_images_a_moved_threshold_moves() -> None:
    low, high = ({"HIGH": limit, "LOW": 0} for limit in (0, 10))
    above = replace(BAD, exceeded=("CRITICAL", "HIGH", "LOW"), thresholds=low)
    below = replace(BAD, exceeded=("CRITICAL",), thresholds=high)
    moved = [
        any_change(number, before, now, change=Change.UNCHANGED, cause=Cause.THRESHOLD)
        for number, (before, now) in enumerate([(above, below), (above, below), (below, above)])
    ]
    assert contents(*moved).thresholds == (
        MovedThreshold("HighThreshold", 10, above=1, below=2),
        MovedThreshold("LowThreshold", 0, above=1, below=2),
    )


# The images that a run has scanned for the first time


def first_scan(number: int, *new: ChangedFinding, **given: Any) -> DigestChange:
    found = FindingsChange(new=new)
    return any_change(number, ImageState(), by_name=found, is_first_sight=True, **given)


def test_the_baseline_names_the_most_widespread_of_each_severity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c = replace(B, name="CVE-2026-3")
    given = first_scan(1, B, c, A), first_scan(2, c), first_scan(3, image_state=WORSE)
    found = contents(*given)
    group = found.baseline_group()
    assert group
    assert found.count == 3
    assert [each.name for each in group.vulnerabilities] == [A.name, c.name, B.name]
    assert [each.repository for each in group.images] == ["team/api-3", "team/api-1", "team/api-2"]
    assert replace(group, images=(), vulnerabilities=()) == DigestedGroup(
        count=3, repositories=3, severities={"CRITICAL": 3, "HIGH": 3}
    )
    monkeypatch.setattr(module, "MOST_WIDESPREAD", 2)
    cut = contents(*given).baseline_group()
    assert cut
    assert cut.vulnerabilities == group.vulnerabilities[:2]


def test_a_group_counts_the_images_that_cannot_be_scanned() -> None:
    reminders = [
        any_change(number, state, state, change=Change.UNCHANGED, is_reminder=True)
        for number, state in enumerate((BAD, FAILED, FAILED))
    ]
    found = contents(*reminders)
    group = found.reminder_group()
    assert group
    assert (found.count, found.changes) == (3, {})
    assert (group.count, group.failed, group.severities) == (3, 2, {"CRITICAL": 1, "HIGH": 1})


# Entries of version 0.3.0


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (any_entry(1, WELL, BAD), {"team/api-1": Change.NEW}),
        # Of several events, NotifyOn decides; one has decided itself.
        (replace(any_entry(1, WORSE, BAD), first_event="any"), {}),
        (any_entry(1, WORSE, BAD), {"team/api-1": Change.BETTER}),
        (replace(any_entry(1, WELL, BAD), first_event="any"), {"team/api-1": Change.NEW}),
        (replace(any_entry(1, WELL, WELL), first_event="any"), {}),
    ],
)
def test_lists_an_entry_of_version_0_3_0(entry: DigestEntry, expected: dict[str, Change]) -> None:
    assert listed(contents(entry)) == expected


@pytest.mark.parametrize(("state", "count"), [(BAD, 1), (WELL, 0)])
def test_lists_a_reminder_of_version_0_3_0_of_what_is_not_clear(
    state: ImageState, count: int
) -> None:
    entry = replace(any_entry(1, state, state, is_reminder=True), first_event="any")
    found = contents(entry)
    assert (len(found.reminders), len(found.images)) == (count, 0)
    unchanged = replace(any_entry(1, state, state), first_event="any")
    listing = contents(unchanged, notify_on=DEFAULT_NOTIFY_ON | {NotifyOn.UNCHANGED})
    assert len(listing.images) == count
