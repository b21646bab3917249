from dataclasses import replace
from typing import Any

import pytest

from notify_scan.events.scans import MOST_TAGS
from reporting.reports import ScanReport
from tests.support.cases import case
from tests.support.events import interpreted, sample


def scan_of(name: str, **detail: Any) -> ScanReport:
    event = sample(name)
    event["detail"] |= detail
    scan = interpreted(event).scan
    assert scan
    return scan


def basic(**detail: Any) -> ScanReport:
    return scan_of("ecr_image_scan_complete", **detail)


def enhanced(**detail: Any) -> ScanReport:
    return scan_of("inspector2_scan_ecr", **detail)


def test_an_absent_severity_of_a_basic_scan_is_zero() -> None:
    counts = basic(**{"finding-severity-counts": None}).severities
    assert [*counts] == ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"]
    assert not any(counts.values())


def test_an_enhanced_scan_says_nothing_of_severities_that_it_does_not_name() -> None:
    assert enhanced(**{"finding-severity-counts": {}}).severities == {
        "CRITICAL": 0,
        "HIGH": 0,
        "MEDIUM": 0,
    }


@pytest.mark.parametrize(("total", "other"), [(158, 28), (130, 0), (7, 0), (0, 0), (None, 0)])
def test_what_a_total_has_more_than_its_parts_is_other(total: int | None, other: int) -> None:
    counts = {"CRITICAL": 7, "HIGH": 61, "MEDIUM": 62, "TOTAL": total}
    assert enhanced(**{"finding-severity-counts": counts}).other == other


def test_keeps_undocumented_severities_after_those_that_are_known() -> None:
    counts = {"UNTRIAGED": 3, "LOW": 1, "A": 2, "CRITICAL": 4.0, "TOTAL": 12}
    scan = enhanced(**{"finding-severity-counts": counts})
    assert [*scan.severities.items()] == [
        ("CRITICAL", 4),
        ("HIGH", 0),
        ("MEDIUM", 0),
        ("LOW", 1),
        ("A", 2),
        ("UNTRIAGED", 3),
    ]
    assert scan.other == 2


def test_counts_severities_with_odd_names_as_other() -> None:
    counts = {f"S{number:02}": 1 for number in range(15)} | {"long" * 20: 5}
    scan = basic(**{"finding-severity-counts": counts})
    assert len(scan.severities) == 6 + 10
    assert scan.other == 5 + 5


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "https://console.aws.amazon.com/"),
        ("aws-cn", "cn-north-1", "https://console.amazonaws.cn/"),
        ("aws-us-gov", "us-gov-west-1", "https://console.amazonaws-us-gov.com/"),
    ],
)
def test_an_arn_says_whose_the_repository_is(partition: str, region: str, host: str) -> None:
    arn = f"arn:{partition}:ecr:{region}:999999999999:repository/team/api"
    scan = enhanced(**{"repository-name": arn})
    assert (scan.account, scan.region, scan.repository) == ("999999999999", region, "team/api")
    assert scan.link.startswith(f"{host}ecr/repositories/private/999999999999/team/api/")


def test_an_enhanced_scan_may_name_its_repository_plainly() -> None:
    scan = enhanced(**{"repository-name": "team/api"})
    assert (scan.account, scan.repository) == ("123456789012", "team/api")


def test_leaves_tags_out_that_no_message_has_room_for() -> None:
    scan = basic(**{"image-tags": ["x" * 300] * 8})
    assert len(scan.tags) == 6
    assert scan.tags_omitted == 2
    assert sum(map(len, scan.tags)) <= MOST_TAGS


def test_leaves_empty_tags_out() -> None:
    scan = basic(**{"image-tags": ["", "v1", *[""] * 50_000]})
    assert (scan.tags, scan.tags_omitted) == (("v1",), 0)


def test_takes_absent_and_empty_for_the_same() -> None:
    for nothing in ("", None):
        scan = basic(**{"image-digest": nothing, "image-tags": None})
        assert (scan.image_digest, scan.tags) == (None, ())


def test_names_an_image_by_its_first_tag_else_by_its_digest() -> None:
    assert basic().image == "shop/cart:2026.03"
    assert basic(**{"image-tags": []}).image == "shop/cart@sha256:8c1f0e7b6a5d"
    assert basic(**{"image-tags": [], "image-digest": None}).image == "shop/cart"


def test_names_the_platform_of_an_image_that_an_index_lists() -> None:
    tagged, untagged = basic(), basic(**{"image-tags": []})
    assert replace(tagged, platform="linux/arm64").image == "shop/cart:2026.03 (linux/arm64)"
    assert (
        replace(untagged, platform="linux/arm64").image
        == "shop/cart@sha256:8c1f0e7b6a5d (linux/arm64)"
    )


def test_takes_any_other_status_for_a_failure() -> None:
    assert not basic(**{"scan-status": "UNSUPPORTED_IMAGE"}).is_complete


def test_puts_signs_for_what_cannot_be_sent() -> None:
    scan = basic(**{"image-tags": ["a\ud800b", "c\uffff"]})
    assert scan.tags == ("a\N{REPLACEMENT CHARACTER}b", "c\N{REPLACEMENT CHARACTER}")


def test_case_10_links_to_the_console_of_the_partition() -> None:
    (event,) = case("10-european-sovereign-cloud.json", of="notify")["events"]
    scan = interpreted(event).scan
    assert scan
    assert (scan.region, scan.repository) == ("eusc-de-east-1", "team/api")
    assert scan.link.startswith("https://console.amazonaws-eusc.eu/ecr/repositories/private/")
