"""The announcements in the ledger table: many events claim a name or a place at once."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
import pytest

from ledger.announcements import MOST_NAMES, Announcements, Route, announcements
from ledger.errors import LedgerUnavailable
from ledger.table import Table
from tests.support.announcements import AnnouncementsInMemory
from tests.support.clock import NOW

CVES = ("CVE-2026-31337", "CVE-2026-20411")
A_DAY = timedelta(hours=24)
AN_HOUR = timedelta(hours=1)


class TableOfThreads:
    """The table, which changes an item by one request after the other, as AWS does.

    calls: requests by operation. before: what happens just before the next one of an operation.
    """

    def __init__(self, name: str) -> None:
        client: Any = boto3.client("dynamodb")
        request, lock = client._make_api_call, threading.Lock()
        self.calls: Counter[str] = Counter()
        self.before: dict[str, Callable[[], object]] = {}

        def request_alone(operation: str, parameters: object) -> object:
            self.calls[operation] += 1
            if happens := self.before.pop(operation, None):
                happens()
            with lock:
                return request(operation, parameters)

        client._make_api_call = request_alone
        self.table = Table(client, name)
        self.announcements = Announcements(self.table)


@pytest.fixture
def tables(ledger_table: str) -> TableOfThreads:
    return TableOfThreads(ledger_table)


@pytest.fixture(params=["table", "memory"])
def adapter(request: pytest.FixtureRequest) -> Announcements:
    """Make the adapter of the table, and the stand-in that unit tests have for it."""
    if request.param == "memory":
        return AnnouncementsInMemory().as_announcements
    tables: TableOfThreads = request.getfixturevalue("tables")
    return tables.announcements


def place(
    adapter: Announcements,
    event: str,
    *names: str,
    now: Any = NOW,
    most: int = 20,
    route: Route = Route.IMMEDIATE,
) -> int | None:
    return adapter.place(route, names, event=event, now=now, most=most)


def claims(tables: TableOfThreads, route: Route = Route.IMMEDIATE) -> dict[str, str]:
    items = tables.table.query(f"announced#{route}")
    return {item["sk"].removeprefix("name#"): item["event"] for item in items}


def test_events_of_an_hour_have_places_in_their_order(adapter: Announcements) -> None:
    assert [place(adapter, f"e{n}", f"CVE-{n}") for n in range(3)] == [1, 2, 3]


def test_a_retry_gets_the_same_place(adapter: Announcements) -> None:
    for event in ("e1", "e2", "e3"):
        place(adapter, event, event)
    assert [place(adapter, event, event) for event in ("e2", "e3", "e1")] == [2, 3, 1]
    assert place(adapter, "e4", "e4") == 4


def test_a_vulnerability_is_announced_by_one_event(adapter: Announcements) -> None:
    assert place(adapter, "e1", CVES[0]) == 1
    assert place(adapter, "e2", CVES[0]) is None
    assert place(adapter, "e2", CVES[0]) is None
    assert place(adapter, "e1", CVES[0]) == 1
    assert place(adapter, "e3", CVES[1]) == 2  # the one without a place has used nothing up


def test_an_event_has_a_place_for_what_is_left_of_its_names(adapter: Announcements) -> None:
    place(adapter, "e1", CVES[0])
    assert place(adapter, "e2", *CVES) == 2
    assert place(adapter, "e3", *CVES) is None


def test_a_vulnerability_is_news_again_after_a_day(adapter: Announcements) -> None:
    place(adapter, "e1", CVES[0])
    second = timedelta(seconds=1)
    assert place(adapter, "e2", CVES[0], now=NOW + A_DAY - second) is None
    assert place(adapter, "e2", CVES[0], now=NOW + A_DAY) == 1
    # From then on, for a day.
    assert place(adapter, "e3", CVES[0], now=NOW + 2 * A_DAY - second) is None


def test_a_retry_does_not_renew_a_claim(adapter: Announcements) -> None:
    place(adapter, "e1", CVES[0])
    place(adapter, "e1", CVES[0], now=NOW + AN_HOUR)
    assert place(adapter, "e2", CVES[0], now=NOW + A_DAY) == 1


def test_no_more_than_the_budget_have_a_place_in_an_hour(adapter: Announcements) -> None:
    places = [place(adapter, f"e{n}", f"CVE-{n}", most=2) for n in range(4)]
    assert places == [1, 2, None, None]
    assert place(adapter, "e1", "CVE-1", most=2) == 2
    last = NOW + AN_HOUR - timedelta(microseconds=1)
    assert place(adapter, "e5", "CVE-5", most=2, now=last) is None
    assert place(adapter, "e5", "CVE-5", most=2, now=NOW + AN_HOUR) == 1


def test_what_had_no_place_is_not_announced(adapter: Announcements) -> None:
    place(adapter, "e1", CVES[0], most=1)
    assert place(adapter, "e2", CVES[1], most=1) is None
    assert place(adapter, "e3", CVES[1], most=1, now=NOW + AN_HOUR) == 1


def test_an_event_without_names_needs_a_place_only(adapter: Announcements) -> None:
    assert [place(adapter, f"e{n}", most=2) for n in (1, 2, 3, 1)] == [1, 2, None, 1]


def test_each_route_has_claims_and_a_budget_of_its_own(adapter: Announcements) -> None:
    assert place(adapter, "e1", CVES[0], most=1) == 1
    assert place(adapter, "e2", CVES[0], most=1, route=Route.PAGERDUTY) == 1
    assert place(adapter, "e1", CVES[0], most=1, route=Route.PAGERDUTY) is None


def test_the_worst_names_of_many_are_claimed(adapter: Announcements) -> None:
    names = [f"CVE-{number}" for number in range(MOST_NAMES + 1)]
    assert place(adapter, "e1", *names) == 1
    assert place(adapter, "e2", names[MOST_NAMES - 1]) is None
    assert place(adapter, "e2", names[MOST_NAMES]) == 2


def test_a_name_may_be_named_twice_and_be_of_any_length(adapter: Announcements) -> None:
    long = "CVE-" + "\U0001f4a5" * 2_000
    assert place(adapter, "e1", CVES[0], CVES[0], "", long) == 1
    assert place(adapter, "e2", CVES[0], CVES[0], "", long) is None


def test_the_first_event_of_a_topic_is_always_the_same(adapter: Announcements) -> None:
    first = partial(adapter.is_first, "unsupported", expires_at=1)
    assert first("team/api", event="e1")
    assert not first("team/api", event="e2")
    assert first("team/api", event="e1")
    assert first("team/web", event="e2")
    assert adapter.is_first("baseline", "team/api", event="e2", expires_at=1)


def test_says_when_the_table_does_not_answer(account: None) -> None:
    lost = AnnouncementsInMemory()
    lost.is_lost = True
    for adapter in (announcements("no-table"), lost.as_announcements):
        with pytest.raises(LedgerUnavailable):
            place(adapter, "e1", CVES[0])
        with pytest.raises(LedgerUnavailable):
            adapter.is_first("unsupported", "team/api", event="e1", expires_at=1)


def test_items_expire_after_they_have_lost_their_meaning(tables: TableOfThreads) -> None:
    place(tables.announcements, "e1", CVES[0])
    tables.announcements.is_first("unsupported", "team/api", event="e1", expires_at=1_800_000_000)
    (claim,) = tables.table.query("announced#IMMEDIATE")
    assert claim == {
        "pk": "announced#IMMEDIATE",
        "sk": f"name#{CVES[0]}",
        "event": "e1",
        "announced_at": int(NOW.timestamp()),
        "expires_at": int((NOW + timedelta(hours=25)).timestamp()),
    }
    (budget,) = tables.table.query("budget#IMMEDIATE")
    assert budget == {
        "pk": "budget#IMMEDIATE",
        "sk": "hour#2026-03-14T03",
        "events": ["e1"],
        "expires_at": int((NOW + timedelta(hours=2)).timestamp()),
    }
    (first,) = tables.table.query("announced#unsupported")
    assert (first["sk"], first["expires_at"]) == ("name#team/api", 1_800_000_000)


def test_one_of_many_events_at_once_announces_a_vulnerability(tables: TableOfThreads) -> None:
    events = [f"e{number}" for number in range(32)]
    with ThreadPoolExecutor(len(events)) as threads:
        places = list(threads.map(lambda e: place(tables.announcements, e, CVES[0]), events))
    assert sorted(places, key=str) == [1, *[None] * 31]
    # The others have used up nothing of the hour.
    assert place(tables.announcements, "another", CVES[1]) == 2


def test_no_more_of_many_events_at_once_have_a_place_than_the_budget(
    tables: TableOfThreads,
) -> None:
    events = [f"e{number}" for number in range(32)]
    with ThreadPoolExecutor(len(events)) as threads:
        places = list(threads.map(lambda e: place(tables.announcements, e, e, most=20), events))
    assert sorted(each for each in places if each) == list(range(1, 21))
    assert set(claims(tables)) == {e for e, each in zip(events, places, strict=True) if each}


def test_without_a_claim_that_another_event_was_faster_with(tables: TableOfThreads) -> None:
    other = Announcements(tables.table)
    tables.before["PutItem"] = lambda: place(other, "e1", CVES[0])
    assert place(tables.announcements, "e2", CVES[0]) is None
    assert claims(tables) == {CVES[0]: "e1"}
    assert place(tables.announcements, "e3", CVES[1]) == 2


def test_gives_back_its_claims_when_the_budget_is_used_up_meanwhile(
    tables: TableOfThreads,
) -> None:
    other = Announcements(tables.table)
    tables.before["UpdateItem"] = lambda: place(other, "e1", CVES[0], most=1)
    assert place(tables.announcements, "e2", CVES[1], most=1) is None
    assert claims(tables) == {CVES[0]: "e1"}


def test_a_retry_continues_where_the_attempt_before_was_killed(tables: TableOfThreads) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    tables.before["UpdateItem"] = killed
    with pytest.raises(KeyboardInterrupt):
        place(tables.announcements, "e1", CVES[0])
    assert place(tables.announcements, "e2", CVES[0]) is None
    assert place(tables.announcements, "e1", CVES[0]) == 1


def test_an_event_without_a_place_costs_one_read(tables: TableOfThreads) -> None:
    place(tables.announcements, "e1", CVES[0], most=1)
    tables.calls.clear()
    place(tables.announcements, "e2", CVES[0])  # announced
    place(tables.announcements, "e3", CVES[1], most=1)  # used up
    assert tables.calls == {"BatchGetItem": 2}
    tables.calls.clear()
    place(tables.announcements, "e4", *CVES)
    assert tables.calls == {"BatchGetItem": 1, "PutItem": 1, "UpdateItem": 1}
