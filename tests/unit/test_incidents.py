"""The incidents of images: one test per row of the table, and random lives of images."""

import random
from dataclasses import replace
from typing import Any

import pytest

from ledger.image_records import Baseline, ImageState
from notify_scan.incidents import incident_change, incident_of, new_key
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.notification import MOST_INCIDENTS, Notification
from registry.errors import ImageArchived, ImageNotFound, ImageNotScannable, RepositoryNotFound
from registry.images import LastScan
from reporting.channels.delivery import Channel
from reporting.channels.in_use import ChannelsInUse
from reporting.channels.pagerduty import LONGEST_KEY
from reporting.reports import Deletion, Interpretation, Reason
from tests.support.clock import NOW
from tests.support.images import SHIPPED, Images, incidents, scan
from tests.support.reports import FakeScans, any_composer

A, B, H = "CVE-A/openssl/C", "CVE-B/openssl/C", "CVE-H/zlib/H"


def subject(image: int = 1) -> str:
    return f"ecr/123456789012/eu-central-1/team/api/sha256:{image:064x}"


def key(image: int = 1, revision: int = 1) -> str:
    return f"{subject(image)}#{revision}"


def open_incident(images: Images, image: int = 1) -> str | None:
    baseline = images.ledger.kept["team/api", f"sha256:{image:064x}"].baseline
    return baseline.incident if baseline else None


def deleted(
    images: Images, image: int = 1, event: str = "event-deleted", **given: Any
) -> Notification:
    deletion = Deletion(
        account="123456789012",
        region="eu-central-1",
        repository="team/api",
        image_digest=f"sha256:{image:064x}",
        deleted_at=images.now,
    )
    composer = any_composer(
        channels=given.pop("channels", SHIPPED),
        registry=FakeScans(last_scan=given.pop("ecr", ImageNotFound("gone"))).as_registry,
        ledger=images.ledger.as_ledger,
        now=images.now,
    )
    interpretation = Interpretation(deletion=replace(deletion, **given))
    return composer.compose(InterpretedEvent(event, interpretation))


def test_row_p1_sends_nothing_for_a_first_clean_scan() -> None:
    images = Images()
    assert incidents(images.scan(scan())) == []
    assert open_incident(images) == ""


def test_row_p2_opens_an_incident_for_what_is_new_and_critical() -> None:
    images = Images()
    images.scan(scan())
    assert incidents(images.scan(scan(A))) == [("trigger", key(revision=2))]
    assert open_incident(images) == key(revision=2)


def test_opens_no_incident_below_the_severity_that_is_reported_immediately() -> None:
    images = Images()
    assert incidents(images.scan(scan(H))) == []
    assert incidents(images.scan(scan(H, A))) == [("trigger", key(revision=2))]


def test_row_p3_sends_nothing_where_nothing_has_changed() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(images.scan(scan(A))) == []
    assert open_incident(images) == key()


def test_row_p4_adds_what_is_worse_to_the_open_incident() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(images.scan(scan(A, B))) == [("trigger", key())]


def test_row_p5_resolves_the_incident_when_the_tag_moves_to_a_clean_image() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(images.scan(scan(image=2))) == [("resolve", key())]
    assert (open_incident(images, 1), open_incident(images, 2)) == ("", "")


def test_row_p6_hands_the_incident_to_the_image_that_has_the_tag_now() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(images.scan(scan(A, image=2))) == [("trigger", key())]
    assert (open_incident(images, 1), open_incident(images, 2)) == ("", key())
    assert incidents(images.scan(scan(image=2))) == [("resolve", key())]


def test_row_p7_leaves_the_incident_with_an_image_that_has_another_tag() -> None:
    images = Images()
    images.scan(scan(A, tags=("v1", "latest")))
    assert incidents(images.scan(scan(A, B, image=2, tags=("latest",)))) == [("trigger", key(2))]
    assert (open_incident(images, 1), open_incident(images, 2)) == (key(), key(2))


def test_row_p8_joins_the_incidents_of_two_images_whose_tags_meet() -> None:
    images = Images()
    images.scan(scan(A, tags=("v1",)))
    images.scan(scan(A, image=2, tags=("v2",)))
    sent = images.scan(scan(A, image=3, tags=("v1", "v2")))
    assert incidents(sent) == [("trigger", key(1)), ("resolve", key(2))]
    assert len({delivery.message_id for delivery in sent.deliveries}) == 2
    assert [open_incident(images, image) for image in (1, 2, 3)] == ["", "", key(1)]


def test_row_p9_resolves_the_incident_of_an_image_that_is_deleted() -> None:
    images = Images()
    images.scan(scan(A))
    notification = deleted(images)
    assert (notification.notify, notification.reason) == (True, Reason.DELETED)
    assert incidents(notification) == [("resolve", key())]
    assert open_incident(images) == ""
    assert incidents(deleted(images)) == [("resolve", key())]  # the same event again
    other = deleted(images, event="event-other")
    assert (other.reason, other.deliveries) == (Reason.NO_INCIDENT, ())


@pytest.mark.parametrize("error", [ImageNotFound("any"), RepositoryNotFound("any")])
def test_row_p9_asks_ecr_whether_the_image_or_only_a_tag_is_deleted(error: Exception) -> None:
    images = Images()
    images.scan(scan(A))
    archived, odd = ImageArchived("any"), ImageNotScannable("any")
    for answer in (LastScan("COMPLETE", NOW), None, archived, odd):
        kept = deleted(images, ecr=answer)
        assert (kept.reason, kept.deliveries) == (Reason.STILL_THERE, ())
    assert open_incident(images) == key()
    assert incidents(deleted(images, ecr=error)) == [("resolve", key())]


def test_row_p9_leaves_images_alone_that_are_unknown_or_elsewhere() -> None:
    images = Images()
    assert deleted(images).reason is Reason.NO_INCIDENT
    images.scan(scan(A))
    assert deleted(images, is_elsewhere=True).reason is Reason.DELETED_ELSEWHERE
    assert open_incident(images) == key()


def test_a_deletion_costs_nothing_without_pagerduty() -> None:
    images = Images()
    images.scan(scan(A))
    notification = deleted(images, channels=ChannelsInUse({Channel.WEBHOOK: None}))
    assert (notification.reason, notification.deliveries) == (Reason.NO_INCIDENT, ())
    assert open_incident(images) == key()


def test_row_p10_opens_no_incident_for_an_image_that_has_lost_its_tags() -> None:
    images = Images()
    images.scan(scan(tags=("v1",)))
    images.scan(scan(image=2, tags=("v1",)))
    assert incidents(images.scan(scan(A, tags=()))) == []
    assert open_incident(images) == ""
    assert incidents(images.scan(scan(A, image=3, tags=()))) == [("trigger", key(3))]


def test_opens_the_incident_again_that_ended_with_an_image_whose_tag_was_not_scanned_yet() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(deleted(images)) == [("resolve", key())]
    assert incidents(images.scan(scan(A, image=2))) == [("trigger", key(2))]
    assert incidents(images.scan(scan(image=2))) == [("resolve", key(2))]


def test_an_incident_that_ended_with_its_image_stays_closed_where_the_next_image_is_well() -> None:
    images = Images()
    images.scan(scan(A))
    deleted(images)
    assert incidents(images.scan(scan(image=2))) == []


def test_stores_no_key_where_pagerduty_is_not_in_use() -> None:
    images = Images(replace(SHIPPED, targets={Channel.WEBHOOK: None}))
    images.scan(scan(A))
    assert open_incident(images) == ""


def test_opens_a_new_incident_after_one_was_handed_on() -> None:
    images = Images()
    images.scan(scan(A, tags=("v1",)))
    images.scan(scan(A, image=2, tags=("v1",)))
    images.scan(scan(tags=("v2",)))
    sent = images.scan(scan(B, tags=("v2",)))
    assert [action for action, _ in incidents(sent)] == ["trigger"]
    assert open_incident(images, 1) != open_incident(images, 2)


def test_a_failed_scan_neither_opens_nor_closes_an_incident() -> None:
    images = Images()
    assert incidents(images.scan(scan(status="FAILED"))) == []
    images.scan(scan(A, image=2, tags=("v2",)))
    assert incidents(images.scan(scan(image=2, tags=("v2",), status="FAILED"))) == []
    assert incidents(images.scan(scan(image=3, tags=("v2",), status="FAILED"))) == []
    assert open_incident(images, 3) == key(2)


def test_resolves_the_incident_when_only_lesser_findings_are_left() -> None:
    images = Images()
    images.scan(scan(A, H))
    assert incidents(images.scan(scan(H))) == [("resolve", key())]


def test_resolves_the_incident_when_a_threshold_is_raised() -> None:
    images = Images()
    images.scan(scan(A))
    assert incidents(images.scan(scan(A, limits={"CRITICAL": 5}))) == [("resolve", key())]


def test_opens_one_incident_for_all_that_come_after_the_most_of_an_hour() -> None:
    images = Images()
    sent = []
    for number in range(MOST_INCIDENTS + 3):
        name = f"CVE-{number}/openssl/C"
        sent.append(images.scan(scan(name, image=number + 1, tags=(f"v{number}",), days=0.001)))
    assert [len(incidents(each)) for each in sent] == [1] * (MOST_INCIDENTS + 1) + [0, 0]
    (more,) = incidents(sent[MOST_INCIDENTS])
    assert more == ("trigger", f"ecr-rescan/more/123456789012/eu-central-1/{NOW:%Y-%m-%dT%H}")
    assert open_incident(images, MOST_INCIDENTS + 1) == ""
    assert incidents(images.send(f"event-{MOST_INCIDENTS + 1}")) == [more]


def test_closes_an_incident_of_version_0_3_0_under_its_key() -> None:
    old = ImageState({"HIGH": 2}, ("HIGH",))
    baseline = Baseline(image_state=old, notified_at=NOW, revision=3, notes=())
    assert incident_of(baseline, subject()) == subject()
    assert incident_of(replace(baseline, image_state=ImageState()), subject()) == ""
    assert incident_of(None, subject()) == ""
    known = replace(old, thresholds={"HIGH": 0})
    assert incident_of(replace(baseline, image_state=known), subject()) == ""
    given: dict[str, Any] = {"own": subject(), "inherited": (), "severities": ("CRITICAL",)}
    given |= {"is_news": False, "key": "any"}
    assert incident_change(known, **given).key == subject()  # for any severity, as it was opened
    assert incident_change(ImageState(), **given).resolve == (subject(),)


def test_a_key_has_the_revision_within_the_limit_of_pagerduty() -> None:
    assert new_key("ecr/short", 7) == "ecr/short#7"
    long = new_key("e" * 300, 123_456_789)
    assert len(long) <= LONGEST_KEY
    assert long.endswith("#123456789")
    assert long != new_key("e" * 301, 123_456_789)


def a_life(seed: int, steps: int) -> int:
    """Push, move tags, rescan, delete at random; return how many incidents were opened.

    No key is resolved that was never opened, none has two owners, nothing open is without one.
    """
    chance, images = random.Random(seed), Images()
    opened: set[str] = set()
    is_open: set[str] = set()
    tags_of: dict[int, tuple[str, ...]] = {}
    for step in range(steps):
        if chance.random() < 0.1 and tags_of:
            image = chance.choice(sorted(tags_of))
            del tags_of[image]
            sent = deleted(images, image, f"deleted-{step}")
        else:
            image = chance.randint(1, 4)
            if image not in tags_of or chance.random() < 0.4:
                count = chance.randint(0, 2)
                tags = tuple(sorted(chance.sample(("v1", "v2", "v3"), count)))
                tags_of[image] = tags
                for other in tags_of.keys() - {image}:
                    tags_of[other] = tuple(tag for tag in tags_of[other] if tag not in tags)
            found = [f"CVE-{number}/openssl/C" for number in range(4) if chance.random() < 0.3]
            sent = images.scan(scan(*found, image=image, tags=tags_of[image]))
        for action, each in incidents(sent):
            if action == "resolve":
                assert each in opened, (seed, step)
                is_open.discard(each)
            else:
                opened.add(each)
                is_open.add(each)
        owners = [
            record.baseline.incident
            for record in images.ledger.kept.values()
            if record.baseline and record.baseline.incident
        ]
        assert len(owners) == len(set(owners)), (seed, step)
        assert is_open <= set(owners), (seed, step)
    return len(opened)


@pytest.mark.no_cover
def test_incidents_keep_one_owner_in_thirty_random_lives() -> None:
    assert sum(a_life(seed, 40) for seed in range(30)) > 30


@pytest.mark.scale
def test_incidents_keep_one_owner_in_a_thousand_random_lives() -> None:
    assert sum(a_life(seed, 60) for seed in range(100, 1_100)) > 1_000
