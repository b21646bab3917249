"""Of what RescanRegistry writes into its events, NotifyScan reads the names, whatever they are."""

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ledger.run_records import RecordStatus, RunRecord
from ledger.run_summaries import read_summary, summary_texts
from own_events import SOURCE
from own_events.event_bus import OwnEvent
from own_events.rescan_finished import MOST_PROBLEMS, RunChange
from own_events.scan_result_found import MOST_TAGS, ScanResultFound
from registry.images import Image, LastScan
from reporting.reports import FoundImage, Interpretation
from rescan_registry.missing_results import MissingResult
from rescan_registry.outcomes import Outcome
from rescan_registry.run_change import News
from rescan_registry.run_summary import RunFacts, RunSummary, summary_of
from tests.support.clock import NOW
from tests.support.events import interpreted, sample
from tests.support.reports import DIGEST

SECONDS = 10 * 365 * 24 * 3600

numbers = st.integers(0, 10**6)
repositories = st.integers(0, 30).map(lambda number: f"team/api-{number}")
times = st.integers(0, SECONDS).map(lambda seconds: NOW + timedelta(seconds=seconds))
counts = st.dictionaries(
    st.sampled_from(["accepted", "EcrThrottled"]), st.integers(1, 10**6), min_size=1, max_size=2
)
records = st.builds(
    RunRecord,
    run=st.just("any"),
    repository=repositories,
    status=st.sampled_from(RecordStatus),
    started_at=times,
    ended_at=times,
    images=st.dictionaries(st.sampled_from([each.value for each in Outcome]), counts, max_size=4),
    results_missing=numbers,
    results_found=numbers,
    error=st.sampled_from(["AccessDenied", "ImageScansFailed"]),
    cause=st.sampled_from(["any", "two\nlines", "x" * 700, '{"errorMessage": "Rate exceeded"}']),
)
facts = st.builds(
    RunFacts,
    run=st.just("run-1"),
    dry_run=st.booleans(),
    started_at=times,
    ended_at=times,
    scan_type=st.sampled_from(["BASIC", "ENHANCED"]),
    news=st.builds(
        News,
        change=st.none() | st.sampled_from(RunChange),
        remark=st.none() | st.just("Check the parameter RepositoryFilter."),
    ),
)
summaries = st.builds(
    summary_of,
    facts,
    st.lists(repositories, max_size=15, unique=True),
    st.lists(records, max_size=15, unique_by=lambda record: record.repository),
)


def carried(event: OwnEvent) -> Interpretation:
    """Carry an event over the bus, and let NotifyScan read it."""
    sent = {
        "source": SOURCE,
        "detail-type": event.DETAIL_TYPE,
        "detail": json.loads(json.dumps(event.detail())),
    }
    return interpreted(sample("rescan_finished") | sent)


@given(summaries)
def test_the_end_of_a_run_is_read_for_its_name(summary: RunSummary) -> None:
    event = summary.document().event("runs/any/summary.json")
    assert carried(event) == Interpretation(finished_run="run-1")
    assert event.problems == tuple(summary.problems.start)
    assert len(event.problems) == min(event.repositories_not_done, MOST_PROBLEMS)
    assert len(event.deferred) == min(event.repositories_deferred, MOST_PROBLEMS)
    is_done = not event.repositories_not_done + event.repositories_deferred
    assert (event.rerun is None) == is_done


@given(summaries)
def test_the_summary_of_a_run_is_read_as_it_was_written(summary: RunSummary) -> None:
    text = "".join(summary_texts(summary.document(), summary.lists()))
    assert read_summary(text.encode().splitlines()) == summary.document()


found = st.builds(
    MissingResult.found_in,
    st.builds(
        MissingResult,
        st.builds(
            Image,
            st.just(DIGEST),
            st.just(NOW),
            st.integers(0, 150).map(lambda number: tuple(f"v{each}" for each in range(number))),
        ),
        st.just(NOW),
        st.sampled_from(["run-1", None]),
    ),
    st.builds(
        LastScan,
        st.sampled_from(["COMPLETE", "FAILED"]),
        times,
        severities=st.dictionaries(
            st.sampled_from(["CRITICAL", "HIGH", "LOW"]), numbers, max_size=3
        ),
    ),
    repositories,
)


@given(found)
def test_a_result_that_was_found_is_read_for_the_names_of_its_image(event: ScanResultFound) -> None:
    assert carried(event) == Interpretation(found_image=FoundImage(event.repository, DIGEST))
    assert len(event.detail()["image-tags"]) <= MOST_TAGS  # type: ignore[index, call-overload, arg-type]
