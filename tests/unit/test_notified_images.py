"""When a channel was first notified of a finding, by what the ledger keeps of its deliveries."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.known_findings import KnownFinding
from ledger.notified_images import (
    SLOTS,
    ChannelDeliveries,
    Delivery,
    FirstNotified,
    NotifiedImage,
    first_notified,
    first_of,
    notified_image,
    notified_key,
    slot_of,
)
from ledger.table import attributes, plain

START = datetime(2026, 3, 14, 3, tzinfo=UTC)
DAY = START.date()
OTHER = f"sha256:{2:064x}"


def sent(revision: int, hours: float = 0) -> Delivery:
    return Delivery(f"event-{revision}", START + timedelta(hours=hours), revision)


def kept(*sent: Delivery) -> ChannelDeliveries:
    """Keep deliveries as DynamoDB does with the condition of the update, in their order."""
    slots: dict[str, Delivery] = {}
    for each in sent:
        slot = slot_of("SLACK", each.revision)
        if slot not in slots or slots[slot].revision < each.revision:
            slots[slot] = each
            slots.setdefault("SLACK_first", each)
    item = {"pk": "repository#team/api", "sk": "notified#sha256:1", "expires_at": 9, **slots}
    return notified_image(plain(attributes(item))).channels["SLACK"]


def image(*sent: Delivery, channel: str = "SLACK") -> NotifiedImage:
    return NotifiedImage("sha256:1", {channel: kept(*sent)})


def test_reads_the_deliveries_of_each_channel() -> None:
    item = {
        "pk": "repository#team/api",
        "sk": "notified#sha256:1",
        "SNS_first": sent(2),
        "SNS_2": sent(10, 8),
        "SNS_3": sent(3, 1),
        "SLACK_first": sent(10, 8),
        "SLACK_2": sent(10, 8),
        "AMAZON_Q_first": sent(10, 8),
        "expires_at": 1_805_000_000,
    }
    assert notified_image(plain(attributes(item))) == NotifiedImage(
        "sha256:1",
        {
            "AMAZON_Q": ChannelDeliveries(sent(10, 8)),
            "SLACK": ChannelDeliveries(sent(10, 8), (sent(10, 8),)),
            "SNS": ChannelDeliveries(sent(2), (sent(3, 1), sent(10, 8))),
        },
    )


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (1, FirstNotified(sent(1), is_exact=True)),
        (2, FirstNotified(sent(4, 1), is_exact=True)),
        (4, FirstNotified(sent(4, 1), is_exact=True)),
        (5, FirstNotified(sent(6, 2), is_exact=True)),
        (7, None),
    ],
)
def test_a_delivery_of_the_revision_or_a_later_one_counts(
    revision: int, expected: FirstNotified | None
) -> None:
    assert kept(sent(1), sent(4, 1), sent(6, 2)).since(revision, DAY) == expected


def test_a_reminder_and_a_second_delivery_of_the_same_message_change_nothing() -> None:
    deliveries = kept(sent(1), sent(2, 5), sent(2, 9), sent(3, 200))
    assert deliveries.since(2, DAY) == FirstNotified(sent(2, 5), is_exact=True)


def test_what_is_sent_late_displaces_nothing_newer() -> None:
    deliveries = kept(sent(1), sent(2 + SLOTS, 5), sent(2, 9))
    assert deliveries.since(2, DAY) == FirstNotified(sent(2 + SLOTS, 5), is_exact=False)


def test_beyond_the_last_revisions_the_day_is_the_last_that_is_possible() -> None:
    deliveries = kept(*(sent(each, each) for each in range(1, SLOTS + 4)))
    assert deliveries.since(1, DAY) == FirstNotified(sent(1, 1), is_exact=True)
    assert deliveries.since(2, DAY) == FirstNotified(sent(4, 4), is_exact=False)
    assert deliveries.since(4, DAY) == FirstNotified(sent(4, 4), is_exact=True)


def test_without_a_revision_the_day_decides() -> None:
    deliveries = kept(sent(3), sent(4, 24), sent(5, 48))
    assert deliveries.since(0, DAY) == FirstNotified(sent(3), is_exact=False)
    the_day_after = FirstNotified(sent(4, 24), is_exact=False)
    assert deliveries.since(0, DAY + timedelta(days=1)) == the_day_after


def test_a_delivery_before_the_finding_was_seen_does_not_count() -> None:
    """An image whose record has expired begins with revision 1 again."""
    assert kept(sent(40)).since(1, DAY + timedelta(days=1)) is None


def finding(revision: int = 1, origin: str = "", first_seen: date = DAY) -> KnownFinding:
    return KnownFinding("HIGH", first_seen, revision=revision, origin=origin)


def test_nothing_is_known_of_an_image_without_deliveries() -> None:
    assert first_notified(finding(), None) == {}
    assert first_notified(finding(2), image(sent(1))) == {}


def test_each_channel_has_its_own_first_delivery() -> None:
    both = NotifiedImage("sha256:1", {"SNS": kept(sent(1), sent(2, 7)), "SLACK": kept(sent(2, 1))})
    assert first_notified(finding(2), both) == {
        "SLACK": FirstNotified(sent(2, 1), is_exact=True),
        "SNS": FirstNotified(sent(2, 7), is_exact=True),
    }


def test_a_finding_of_the_image_that_had_the_tag_was_notified_then() -> None:
    """What a channel was notified of the image before, it is not notified of again."""
    before, after = image(sent(4), sent(5, 9)), image(sent(1, 30))
    carried = finding(5, OTHER)
    assert first_notified(carried, None, before)["SLACK"].delivery == sent(5, 9)
    assert first_notified(carried, after, before)["SLACK"].delivery == sent(5, 9)
    assert first_notified(carried, after, image(sent(4)))["SLACK"].delivery == sent(1, 30)
    assert first_notified(carried, after)["SLACK"] == FirstNotified(sent(1, 30), is_exact=False)


def test_of_two_deliveries_at_the_same_time_that_of_the_image_before_counts() -> None:
    of_both = first_notified(finding(4, OTHER), image(sent(1)), image(sent(4)))
    assert of_both["SLACK"].delivery == sent(4)


def test_names_the_item_of_an_image_and_the_attributes_of_a_channel() -> None:
    assert notified_key("team/api", "sha256:1") == ("repository#team/api", "notified#sha256:1")
    assert (first_of("SLACK"), slot_of("SLACK", SLOTS + 3)) == ("SLACK_first", "SLACK_3")


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 100)), min_size=1, max_size=60),
    st.integers(1, 30),
)
def test_an_exact_answer_is_the_true_one_and_no_other_is_earlier(
    messages: list[tuple[int, int]], revision: int
) -> None:
    """Deliveries in the order of time, with retries, reminders and late messages among them."""
    made = [sent(number, hour) for number, hour in sorted(messages, key=lambda each: each[1])]
    true = min(
        (each.delivered_at for each in made if each.revision >= revision),
        default=None,
    )
    found = kept(*made).since(revision, DAY)
    assert (found is None) == (true is None)
    if found and true:
        assert found.delivery.delivered_at >= true
        assert not found.is_exact or found.delivery.delivered_at == true
