"""Whatever stands in a name, receivers take the message, and people's clients read the same."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.changes import LISTS, Cause, Change, ChangedFinding, FindingsChange
from own_events.rescan_finished import Problem
from registry.findings import Finding
from reporting.channels.delivery import Channel, Delivery
from reporting.reports import AcceptedFinding, RunReport, ScanReport, ScanType
from reporting.scan_wording import message_of_scan
from reporting.text import sendable
from reporting.wording import message_of_run
from tests.support.events import EXECUTION, HOSTILE, LONG, hostile_texts
from tests.support.reports import (
    any_run_report,
    any_scan_report,
    complaints_about,
    in_every_channel,
    structure_of,
)

# From one text to another of the same length: the same length, lest one message is cut and the
# other is not.
type Say = Callable[[str], str]

LINKS = (
    "https://nvd.example/CVE-2026-1",
    "javascript:alert(1)",
    "https://x.example/>|`<!here>",
    "",
)


def as_it_is() -> Say:
    return sendable


def harmless() -> Say:
    """Say something that no chat reads anything in, and nothing twice.

    An é stands where a name of letters alone would be shown as a word.
    """
    numbers = count(0x100)  # letters that are no ASCII, so that no name is taken for a word
    return lambda text: "é" * (len(text) - 1) + chr(next(numbers))


scan_shapes = st.fixed_dictionaries(
    {
        "scan_type": st.sampled_from(ScanType),
        "is_complete": st.booleans(),
        "critical": st.integers(0, 2),
        "other": st.integers(0, 2),
        "tags_omitted": st.sampled_from((0, 1_200)),
        "has_digest": st.booleans(),
        "change": st.sampled_from((None, *Change)),
        "cause": st.sampled_from((None, *Cause)),
        "is_reminder": st.booleans(),
        "lists": st.none() | st.sets(st.sampled_from(LISTS)),
        "each": st.integers(1, 2),
        "is_compared": st.booleans(),
        "until": st.sampled_from(("2027-03-31", "")),
    }
)
ANY_SHAPE: dict[str, Any] = {
    "scan_type": ScanType.BASIC,
    "is_complete": True,
    "critical": 1,
    "other": 1,
    "tags_omitted": 1,
    "has_digest": True,
    "change": Change.WORSE,
    "cause": None,
    "is_reminder": False,
    "lists": {*LISTS},
    "each": 2,
    "is_compared": True,
    "until": "2027-03-31",
}
words = st.lists(hostile_texts, min_size=12, max_size=12, unique_by=sendable)


@settings(max_examples=25)
@given(scan_shapes, words, st.lists(st.sampled_from(LINKS), max_size=5))
def test_a_scan_is_read_alike_with_harmless_names(
    shape: dict[str, Any], words: list[str], links: list[str]
) -> None:
    told, expected = (scan(shape, words, links, say) for say in (as_it_is(), harmless()))
    assert problems_of(told) == []
    assert structures_of(told) == structures_of(expected)


@settings(max_examples=20)
@given(st.sampled_from(("FINISHED", "INCOMPLETE", "TIMED_OUT")), words)
@example(status="INCOMPLETE", words=list(HOSTILE[:12]))
@example(status="INCOMPLETE", words=list(HOSTILE[12:24]))
@example(status="INCOMPLETE", words=list(HOSTILE[22:34]))
def test_a_run_is_read_alike_with_harmless_names(status: str, words: list[str]) -> None:
    told, expected = (run(status, words, say) for say in (as_it_is(), harmless()))
    assert problems_of(told) == []
    assert structures_of(told) == structures_of(expected)


@settings(max_examples=5)
@given(scan_shapes, st.lists(st.sampled_from((*HOSTILE, *LONG)), min_size=12, max_size=12))
@example(shape=ANY_SHAPE, words=[LONG[1]] * 12)
@example(shape=ANY_SHAPE, words=[LONG[2]] * 12)
@example(shape=ANY_SHAPE, words=["{{" + LONG[0]] * 12)
def test_long_names_are_cut_where_nothing_else_is_cut_in_two(
    shape: dict[str, Any], words: list[str]
) -> None:
    long = [f"{word}{number}" for number, word in enumerate(words)]
    for deliveries in (
        scan({**shape, "is_complete": False}, long, LINKS, as_it_is()),
        scan({**shape, "is_complete": True}, long, LINKS, as_it_is()),
        run("INCOMPLETE", long, as_it_is()),
        run("FAILED", long, as_it_is()),
    ):
        assert problems_of(deliveries) == []
        assert not {
            token
            for structure in structures_of(deliveries).values()
            for token in structure
            if any(sign in token for sign in ("mention", "strike", "evil", "unpaired"))
        }


def scan(
    shape: dict[str, Any], words: list[str], links: Iterable[str], say: Say
) -> tuple[Delivery, ...]:
    account, region, repository, digest, status, failure, remark, unknown, *rest = map(say, words)
    tags = tuple(rest)
    report = any_scan_report(
        account=account,
        region=region[:50],
        repository=repository,
        scan_type=shape["scan_type"],
        status="COMPLETE" if shape["is_complete"] else status,
        # Slack links what is plain; no digest and no name is, so that all are shown alike.
        image_digest=say(f"é {digest}") if shape["has_digest"] else None,
        compared_with=say(f"é {digest}") if shape["is_compared"] else None,
        tags=tags,
        tags_omitted=shape["tags_omitted"],
        severities={"CRITICAL": shape["critical"], "HIGH": 0, f"é {unknown}"[:50]: 2},
        other=shape["other"],
        failure=failure,
        worst_findings=tuple(
            Finding(say(f"{word} é"), say(word), say(word), say(word), link)
            for link, word in zip(links, words, strict=False)
        ),
        remarks=(remark,),
        platform=unknown[:50],
        change=shape["change"],
        cause=shape["cause"],
        is_reminder=shape["is_reminder"],
        open_now={"CRITICAL": shape["critical"], "OTHER": shape["other"]},
        open_before={"CRITICAL": 1},
        open_since="2026-01-03",
        difference={"CRITICAL": 1, say(unknown)[:50]: 1},
        accepted={"CRITICAL": 1, say(unknown)[:50]: 3},
        accepted_findings=tuple(
            AcceptedFinding(say(word), say(word), shape["until"], say(word)) for word in words[:2]
        ),
    )
    if shape["lists"] is not None:
        report = replace(report, by_name=changed(shape, words, say))
    return deliveries_about(report)


def changed(shape: dict[str, Any], words: list[str], say: Say) -> FindingsChange:
    lists = {
        name: tuple(
            ChangedFinding(
                say(f"{word} é"),
                say(word),
                severity,
                version=say(word),
                fixed_in=say(word),
                score=9.8,
                uri=link,
                has_exploit=True,
                first_seen="2026-03-03",
                was=say(word),
                gone_on="2026-03-03",
            )
            for word, link, severity in zip(
                words[number:], LINKS, ("CRITICAL", say(words[0])), strict=False
            )
        )[: shape["each"]]
        for number, name in enumerate(LISTS)
        if name in shape["lists"]
    }
    return FindingsChange(**lists)


def run(status: str, words: list[str], say: Say) -> tuple[Delivery, ...]:
    name, account, region, error, cause, reason, outcome, *repositories = map(say, words)
    report = any_run_report(
        account=account,
        region=region[:50],
        run=name,
        execution_arn=EXECUTION + name,
        status=status,
        repositories=900,
        repositories_gone=1,
        repositories_not_done=700 if status == "INCOMPLETE" else 0,
        images={"STARTED": 1, f"é {outcome}"[:50]: 2},
        reasons={"FAILED": {reason[:50]: 2}, "DEFERRED": {reason[:50]: 2}, "GONE": {"any": 1}},
        problems=tuple(Problem(repository, reason) for repository in repositories),
        rerun={"rerun_of": "run-1"},
        remark=f"{reason} {cause}",
        repositories_deferred=900,
        deferred=tuple(repositories),
    )
    if report.ended_early:
        report = replace(report, error=error, cause=cause)
    return deliveries_about(report)


def deliveries_about(report: ScanReport | RunReport) -> tuple[Delivery, ...]:
    match report:
        case ScanReport():
            message = message_of_scan(report)
        case RunReport():
            message = message_of_run(report)
    deliveries = in_every_channel(message, report)
    assert {delivery.channel for delivery in deliveries} == {*Channel}
    return deliveries


def problems_of(deliveries: tuple[Delivery, ...]) -> list[str]:
    return [problem for delivery in deliveries for problem in complaints_about(delivery)]


def structures_of(deliveries: tuple[Delivery, ...]) -> dict[Channel, list[str]]:
    return {delivery.channel: structure_of(delivery) for delivery in deliveries}
