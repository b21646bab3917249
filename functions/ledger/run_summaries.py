"""The document ``runs/<execution name>/summary.json``: the full result of a run.

It can have a hundred thousand repositories in its long lists, so that it is never in memory as a
whole: SummarizeRescan writes it piece by piece, and NotifyScan reads the start of each list.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ledger.run_records import Freshness
from own_events.rescan_finished import MOST_PROBLEMS, MOST_REASONS, Problem, RescanFinished
from runtime.long_list import json_list
from runtime.messages import Json, decode, encode

_LONG_LISTS = ("problems", "deferred")


@dataclass(frozen=True)
class ImageCounts:
    """Images by outcome and reason."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def outcomes(self) -> dict[str, int]:
        """Add up the reasons of each outcome."""
        return {outcome: sum(reasons.values()) for outcome, reasons in self.counts.items()}

    def reasons(self) -> dict[str, dict[str, int]]:
        """Return the most frequent reasons of each outcome, and the sum of the others."""
        return {outcome: _few(reasons) for outcome, reasons in self.counts.items()}


@dataclass(frozen=True)
class SummaryDocument:
    """The full result of a run, with the first ten items of each long list.

    status: FINISHED or INCOMPLETE.
    scan_type: absent in a document of version 0.3.0, like everything after it.
    change: compared with the run before; absent for a dry run and for chosen repositories.
    remark: what an operator must know about the run as a whole.
    results_missing: scans of earlier runs whose result had not arrived when this run looked.
    results_found: those of them whose result ECR returned when it was asked.
    rerun: the execution input that takes only what is not done; of a dry run it is one too.
    repositories_unknown: those whose images are not, or not all, in `freshness`.
    is_whole: the run was over all repositories that RepositoryFilter selects.
    freshness: absent where no repository was listed because of enhanced scanning.
    begin_with: the repository with which the next run begins, if this one did not get to the end.
    problems: repositories that did not finish; repositories_not_done counts all.
    deferred: repositories that the run has not reached; repositories_deferred counts all.
    """

    run: str
    status: str
    dry_run: bool
    started_at: datetime
    ended_at: datetime
    repositories: int
    repositories_gone: int
    repositories_not_done: int
    images: ImageCounts
    results_missing: int
    results_found: int
    rerun: dict[str, object] | None
    problems: tuple[Problem, ...]
    scan_type: str | None = None
    change: str | None = None
    remark: str | None = None
    repositories_deferred: int = 0
    repositories_unknown: int = 0
    is_whole: bool = False
    freshness: Freshness | None = None
    begin_with: str | None = None
    deferred: tuple[str, ...] = ()

    def event(self, summary_key: str) -> RescanFinished:
        """Return the event of the end of the run."""
        return RescanFinished(
            run=self.run,
            status=self.status,
            dry_run=self.dry_run,
            started_at=self.started_at,
            ended_at=self.ended_at,
            repositories=self.repositories,
            repositories_gone=self.repositories_gone,
            repositories_not_done=self.repositories_not_done,
            problems=self.problems,
            images=self.images.outcomes(),
            reasons=self.images.reasons(),
            results_missing=self.results_missing,
            results_found=self.results_found,
            rerun=self.rerun,
            summary_key=summary_key,
            scan_type=self.scan_type,
            change=self.change,
            remark=self.remark,
            repositories_deferred=self.repositories_deferred,
            deferred=self.deferred,
        )


def summary_key(run: str) -> str:
    """Return the key of the summary of a run."""
    return f"runs/{run}/summary.json"


def summary_texts(document: SummaryDocument, lists: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Write a document with its long lists, whose items are JSON already."""
    short = {name: encode(value) for name, value in vars(document).items() if name not in lists}
    yield json.dumps(short, indent=1).removesuffix("\n}")
    for name, items in lists.items():
        yield f',\n "{name}": '
        yield from json_list(items)
    yield "\n}\n"


def read_summary(lines: Iterable[bytes]) -> SummaryDocument:
    """Read a document line by line, and keep the first items of its long lists.

    Version 0.3.0 wrote each of the `problems` on four lines, and did not count them.
    """
    reader, texts = _LongLists(), list[str]()
    for line in lines:
        texts += reader.kept(line.decode().strip())
    document: dict[str, Json] = json.loads("".join(texts))
    counted: Json = {"repositories_not_done": reader.counts["problems"]}
    return decode(SummaryDocument, counted | document)  # type: ignore[operator]


class _LongLists:
    """Leaves out what comes after the first items of a long list.

    counts: the items of each list.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self._list = ""  # the one that is being read
        self._item = ""
        self._items = list[str]()

    def kept(self, line: str) -> Iterator[str]:
        """Return what is left of the document by a line, without white space around it."""
        if not self._list:
            yield line
            self._list = next((name for name in _LONG_LISTS if line == f'"{name}": ['), "")
        elif line.startswith("]"):
            yield f"{','.join(self._items)}{line}"
            self._list, self._items = "", []
        else:
            self._item += line
            text = self._item.removesuffix(",")
            if not text.startswith("{") or text.endswith("}"):
                self._end_item(text)

    def _end_item(self, text: str) -> None:
        self.counts[self._list] += 1
        if len(self._items) < MOST_PROBLEMS:
            self._items.append(text)
        self._item = ""


def _few(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent reasons, and the sum of the others: ECR may have many codes."""
    frequent = Counter(reasons).most_common()
    others = sum(count for _, count in frequent[MOST_REASONS - 1 :])
    if len(frequent) <= MOST_REASONS:
        return dict(reasons)
    return dict(sorted(frequent[: MOST_REASONS - 1])) | {"others": others}
