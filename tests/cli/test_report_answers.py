"""The five questions of an auditor, answered for registries of one or two images."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cli.report.answers import Answer, answers, headline
from cli.report.document import Details, Freshness, Notified, Report, ReportedImage
from cli.report.vulnerabilities import vulnerabilities
from tests.support.clock import NOW
from tests.support.made_up_reports import ACCEPTANCE, finding, image, report_of

WHICH, SINCE, NOTIFIED, SCANNED, INSIDE = range(5)
OVERDUE = {"freshness": Freshness.OVERDUE, "age_hours": 24 * 12.0}
DUE = {"freshness": Freshness.DUE, "age_hours": 24 * 8.0}
NEVER: dict[str, Any] = {"freshness": Freshness.WAITING, "scanned_at": None, "age_hours": None}
CHART: dict[str, Any] = {**NEVER, "freshness": Freshness.NONE, "outcome": "UNSCANNABLE"}


def said(report: Report) -> str:
    return "".join(part.text for part in headline(report))


def answer(number: int, *images: ReportedImage) -> Answer:
    report = report_of(images)
    return answers(report, vulnerabilities(report, "CRITICAL"))[number]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([], "No image was found in the registry."),
        ([image(**CHART)], "No image has an open critical finding."),
        (
            [image()],
            "No image has an open critical finding, and all were scanned within 7 days.",
        ),
        ([image(**DUE)], "No image has an open critical finding, and no scan is overdue."),
        (
            [image(finding(), **OVERDUE)],
            "1 image has open critical findings, and 1 was not scanned in time.",
        ),
        (
            [image(finding(), **OVERDUE)] * 1_200,
            "1,200 images have open critical findings, and 1,200 were not scanned in time.",
        ),
        (
            [image(finding(accepted=ACCEPTANCE))],
            "No image has an open critical finding, and all were scanned within 7 days.",
        ),
    ],
)
def test_the_headline_says_the_worst(images: list[ReportedImage], sentence: str) -> None:
    assert said(report_of(images)) == sentence


def test_which_images_have_critical_findings() -> None:
    exploited = finding("CVE-2026-1", details=Details(is_exploited=True))
    with_two = image(finding(), exploited, finding(package="libssl"))
    found = answer(WHICH, with_two, image(finding(), repository="team/auth"), image())
    assert (found.figure, found.unit, found.tone) == ("2", "of 3 images", "critical")
    assert found.sentences == ("2 vulnerabilities in 2 repositories.",)
    assert found.warnings == ("1 of them known to be exploited.",)


def test_no_image_has_critical_findings() -> None:
    found = answer(WHICH, image())
    assert (found.figure, found.unit, found.sentences) == ("0", "of 1 image", ())
    assert found.tone == "inside"


def test_since_when() -> None:
    week = NOW.date() - timedelta(days=7)
    found = answer(SINCE, image(finding(), finding("CVE-2025-1", first_seen=week)))
    assert (found.figure, found.unit) == ("7", "days, the oldest")
    assert found.sentences == ("CVE-2025-1 in openssl, since 2026-03-07.",)


def test_a_finding_that_was_there_when_the_record_began() -> None:
    yesterday = NOW.date() - timedelta(days=1)
    oldest = finding(package="", first_seen=yesterday, is_seen_later=True)
    found = answer(SINCE, image(oldest))
    assert (found.figure, found.unit) == ("1", "day or more, the oldest")
    assert found.sentences == ("CVE-2026-31337, on or before 2026-03-13.",)


def test_findings_of_which_only_the_counts_are_known() -> None:
    found = answer(SINCE, image(counts={"CRITICAL": 2}, is_named=False))
    assert found.figure == "Unknown"
    assert found.sentences == ("The counts of these findings are recorded, and not their names.",)


@pytest.mark.parametrize("question", [SINCE, NOTIFIED])
def test_nothing_is_open(question: int) -> None:
    found = answer(question, image())
    assert (found.figure, found.sentences) == ("—", ("No critical finding is open.",))


def test_who_was_notified() -> None:
    slack, email = finding(notified={"SLACK": NOW}), finding(notified={"SNS": NOW, "SLACK": NOW})
    known = {"SLACK": Notified(NOW, NOW)}
    found = answer(
        NOTIFIED, image(slack, notified=known), image(email, notified=known), image(finding())
    )
    assert (found.figure, found.unit, found.tone) == ("2", "of 3 images", "overdue")
    assert found.sentences == (
        "Slack 2, SNS 1.",
        "Subscribers of the topic now: 4 by email, 1 by https.",
    )
    assert found.warnings == ("1 without a notification.",)


def test_no_channel_and_no_subscriber() -> None:
    report = replace(report_of([image(finding())]), subscribers={})
    found = answers(report, vulnerabilities(report, "CRITICAL"))[NOTIFIED]
    assert (found.figure, found.sentences) == ("0", ())


def test_a_notification_of_an_image_counts_where_no_finding_has_a_name() -> None:
    known = {"SNS": Notified(NOW, NOW)}
    found = answer(NOTIFIED, image(counts={"CRITICAL": 2}, is_named=False, notified=known))
    assert (found.figure, found.tone, found.warnings) == ("1", "", ())
    assert found.sentences[0] == "SNS 1."


def test_when_each_was_last_scanned() -> None:
    old = image(**OVERDUE, repository="legacy/print-server")
    found = answer(SCANNED, image(), old, image(), image(**NEVER), image(**CHART))
    assert (found.figure, found.unit, found.tone) == ("12 d", "ago, the oldest", "overdue")
    assert found.sentences == (
        "legacy/print-server:v1.",
        "Half of them within 24 h; each one is listed below.",
    )
    assert found.warnings == ("1 image never scanned.",)


def test_the_oldest_scan_can_be_recent() -> None:
    assert answer(SCANNED, image()).tone == ""


def test_no_scan_is_recorded() -> None:
    found = answer(SCANNED, image(**NEVER))
    assert (found.figure, found.sentences) == ("—", ("No scan is recorded.",))
    assert found.warnings == ("1 image never scanned.",)


def test_the_registry_is_inside() -> None:
    found = answer(INSIDE, image(), image(**CHART))
    assert found.question == "Is the registry inside its RescanAfter of 7 days?"
    assert (found.figure, found.unit, found.tone) == ("Yes", "100.0 % of 1 image", "inside")
    assert found.sentences == ("Without 1 image not scannable or excluded.",)


def test_one_of_many_is_overdue() -> None:
    """The share never rounds up to all."""
    found = answer(INSIDE, image(**OVERDUE), *[image()] * 2_000)
    assert (found.figure, found.unit, found.tone) == ("No", "99.9 % of 2,001 images", "overdue")
    assert found.warnings == ("1 overdue.",)


def test_one_is_due() -> None:
    found = answer(INSIDE, image(**DUE))
    assert (found.figure, found.unit, found.tone) == ("No", "0.0 % of 1 image", "due")
    assert found.sentences == ("1 due, and overdue after 9 days.",)
    assert found.warnings == ()


def test_nothing_has_to_be_scanned() -> None:
    found = answer(INSIDE, image(**CHART))
    assert (found.figure, found.unit, found.tone) == ("—", "", "")
    assert found.sentences == (
        "No image has to be scanned.",
        "Without 1 image not scannable or excluded.",
    )
    assert answer(INSIDE).sentences == ("No image has to be scanned.",)


def test_amazon_inspector_scans_again_by_itself() -> None:
    report = replace(report_of([image(finding()), image(**NEVER)]), scan_type="ENHANCED")
    assert said(report) == ("1 image has open critical findings. Amazon Inspector rescans them.")
    found = answers(report, vulnerabilities(report, "CRITICAL"))
    assert found[SCANNED].sentences[-1] == (
        "Amazon Inspector scans an image again when it learns of a vulnerability."
    )
    assert found[INSIDE].question == "Does Amazon Inspector monitor every image?"
    assert (found[INSIDE].figure, found[INSIDE].unit) == ("No", "50.0 % of 2 images")
