"""Summaries of runs as SummarizeRescan makes and writes them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ledger.bucket import RunBucket
from ledger.run_records import Freshness
from ledger.run_summaries import SummaryDocument
from rescan_registry.run_summary import summary_of
from runtime.messages import encode
from tests.support.builders import any_facts, any_record
from tests.support.clock import NOW

_SIX_DAYS_AGO = Freshness(scannable=1, oldest_at=NOW - timedelta(days=6))


def any_summary(run: str = "run", **changes: Any) -> SummaryDocument:
    """Make the summary of a run over the whole registry, which left nothing overdue."""
    started_at = NOW - timedelta(minutes=18)
    facts = any_facts(run=run, started_at=started_at, is_whole=True, moves_the_beginning=False)
    records = [
        any_record(name, images={"STARTED": {"accepted": 1}}, freshness=_SIX_DAYS_AGO)
        for name in ("team/api", "team/app", "team/web")
    ]
    names = [record.repository for record in records]
    return replace(summary_of(facts, names, records).document(), **changes)


def write_summary(bucket: RunBucket, summary: SummaryDocument) -> None:
    """Write a summary with its long lists."""
    lists = {
        name: [json.dumps(encode(item)) for item in getattr(summary, name)]
        for name in ("problems", "deferred")
    }
    bucket.write_summary(summary.run, summary, lists)
