"""docs/performance.md and its picture, from the results."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.starts import EMPTY, ROUNDS
from rescan_registry import pacing
from tests.support.template import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"
TEXT = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "pictures" / "performance.svg"

MEANINGS = {
    "WINDOW_SECONDS": "A measurement takes at least this many seconds.",
    "WINDOW_CALLS": "It counts at least this many calls, or one that is throttled. "
    "20 calls in 1 s are also the first rate.",
    "BUSY": "The rate rises only if this share of it was accepted.",
    "FIRST_GROWTH": "By this factor, until ECR throttles for the first time.",
    "GROWTH": "By this factor, afterwards.",
    "LOWEST": "It never falls below this many calls per second.",
}

_DECISION = "[Decision 17](decisions/0017-the-rate-of-ecr-is-learnt-on-a-board.md)"

type Row = Mapping[str, Any]


def text(results: Row) -> str:
    """Return the document."""
    cells = results["cells"]
    counts = {
        is_first: sum(cell["met"] for cell in cells if cell["first"] is is_first)
        for is_first in (True, False)
    }
    missed = [
        f"{'first run' if cell['first'] else 'known'}, {cell['shape']} at {cell['rate']}/s "
        f"({_percent(cell['throttled'])} throttled, {cell['seconds']:,.0f} s of at most "
        f"{cell['most_seconds']:,} s)"
        for cell in cells
        if not cell["met"]
    ]
    return f"""# Performance

How many calls ECR accepts per second is not documented, and differs between accounts. These figures
show how fast RescanRegistry starts scans under limits of 1 to 200 calls per second, and what it
costs. They come from a simulation in virtual time (`make bench`, some minutes): hand-out, queue,
rate and retries are decided by the code and the definition that are deployed; the duration of each
step is assumed (`benchmarks/rescan.py`), the limit is a token bucket that saves one second of
calls, and prices are list prices in us-east-1. Nothing was measured on AWS. All values are in
`benchmarks/results.json`.

![Throttled calls and costs per 1,000 scans of three designs](pictures/performance.svg)

## Summary

| | |
| --- | --- |
| Constants of the controller | {len(pacing.CONTROLLER)} |
| Cells met, rate known from an earlier run | {counts[False]} of 32 |
| Cells met, first run of a stack | {counts[True]} of 32 |
| Failed images and stopped runs, in all cells | {sum(cell["failed"] for cell in cells):.0f} |

A cell is met if every image was started, and: with a known rate, at most 5 % of the calls were
throttled and the run took at most ideal ÷ 0.85 + 10 s; in the first run, 10 % and
ideal ÷ 0.8 + 15 s. The ideal is the time that the calls take at ECR's limit. Missed:
{"; ".join(missed) or "none"}.

## Every rate and shape

Medians of three runs: throttled share of all calls · seconds (ideal) · USD per 1,000 scans. Shapes
are repositories × due images. Version 0.3 started one state per image and at most 1,000 images per
repository; *nested Map* is a Map over repositories with a Map over all images, with the retries
of AWS's samples.

{_every_cell(results)}

{_unfavorable(results)}## Fleets and large repositories

| 1,000 repositories of 1,000 images, 10 % due, at | {_heads(results["warm"])} |
| --- |{" ---: |" * len(results["warm"])}
| USD per run | {_row(results["warm"], lambda row: f"{row['usd']:.2f}")} |
| throttled | {_row(results["warm"], lambda row: _percent(row["throttled"]))} |
| seconds (ideal) | {_row(results["warm"], _seconds)} |
| StartImageScan calls ÷ due images | {_row(results["warm"], _calls)} |

| First scan dates of 1,000 repositories of 100 images, at | {_heads(results["cold"])} |
| --- |{" ---: |" * len(results["cold"])}
| USD per run | {_row(results["cold"], lambda row: f"{row['usd']:.2f}")} |
| throttled | {_row(results["cold"], lambda row: _percent(row["throttled"]))} |
| seconds (ideal) | {_row(results["cold"], _seconds)} |

| One repository of 100,000 images, a seventh due, at | {_heads(results["large"])} |
| --- |{" ---: |" * len(results["large"])}
| events of its history, of 25,000 | {_row(results["large"], _events)} |
| largest state in KiB, of 256 | {_row(results["large"], _kibibytes)} |
| seconds (ideal, without listing 100 pages) | {_row(results["large"], _seconds)} |
| deferred | {_row(results["large"], lambda row: f"{row['deferred']:,.0f}")} |

{_controller(results)}
{_starts(results["starts"])}"""


def _unfavorable(results: Row) -> str:
    if "robust" not in results:
        return ""
    deferred = sum(row["deferred"] for row in results["robust"])
    return f"""## Unfavorable limits

10 × 1,000 with a known rate: share of what ECR would have accepted / throttled share.

{_robust(results["robust"])}

In none of these runs does an image fail. What is not started when the run's time is over is
deferred: {deferred:,.0f} images in all of them. With a burst of one call, or other callers at 1
call per second, the bucket is empty whenever two calls come close, at any rate.

"""


def _controller(results: Row) -> str:
    if "without" not in results:
        rows = "\n".join(
            f"| `{name}` | {getattr(pacing, name)} | {MEANINGS[name]} |"
            for name in pacing.CONTROLLER
        )
        return f"""## The constants of the controller

The rate rises by a factor after a measurement without throttled calls, and falls by the share of
throttled ones. {_DECISION} says what fails without each constant.

| constant | value | meaning |
| --- | ---: | --- |
{rows}
"""
    return f"""## The constants of the controller

The rate rises by a factor after a measurement without throttled calls, and falls by the share of
throttled ones. The table shows what fails without each constant: the cells of 1 × 1,000 and
10 × 1,000 once each, with the effect of the constant taken away as in `benchmarks/cells.py`.
*Afterwards* is the throttled share in a run of 10 × 1,000 at 200 calls per second that follows one
with 300 × 33, in which the repositories are too small to use the rate.

| constant | value | meaning | cells met without it: rate known, first run | afterwards |
| --- | ---: | --- | ---: | ---: |
{_with_all_constants(results)}
{_constants(results["without"])}

Four constants are needed by a cell of this table. `GROWTH` and `LOWEST` are kept by reasoning, and
not because of a measurement: without the former, the rate could never rise again after a fall; the
latter is a floor, so that a rate that has fallen is measured again. The cell that is missed without
`LOWEST`, the first run of 1 × 1,000 at 1 call per second, takes {_close_cell(results)} with all
constants, so that a single run may miss it by chance. {_DECISION} names the other cells.
"""


def _with_all_constants(results: Row) -> str:
    cells = [cell for cell in results["cells"] if cell["shape"] in ("1 × 1,000", "10 × 1,000")]
    known, first = (
        sum(cell["met"] for cell in cells if cell["first"] is is_first)
        for is_first in (False, True)
    )
    return (
        f"| *(all constants)* | | Cells: medians of three runs. | {known}, {first} of 16 | "
        f"{_percent(results['idle']['throttled'])} |"
    )


def _close_cell(results: Row) -> str:
    (cell,) = (
        cell
        for cell in results["cells"]
        if (cell["shape"], cell["rate"], cell["first"]) == ("1 × 1,000", 1, True)
    )
    return f"{cell['seconds']:,.0f} s of at most {cell['most_seconds']:,} s"


def _starts(measured: Mapping[str, Row]) -> str:
    empty = measured[EMPTY]["compiled"]
    rows = "\n".join(
        f"| {_function(module)} | {taken['source'] / empty:.1f} | {taken['compiled'] / empty:.1f} "
        f"| {taken['source']:.0f} | {taken['compiled']:.0f} "
        f"| {100 * (1 - taken['compiled'] / taken['source']):.0f} % |"
        for module, taken in measured.items()
    )
    return f"""## Start of the functions

What each function imports when Lambda starts it: computing time in proportion to an empty handler
in a compiled package, which imports the log and the messages. Medians of {ROUNDS} starts each, in
turns, on one machine with other work, in processes of their own that write no compiled modules.
The modules of the runtime, such as boto3, are compiled. A function of 256 MB has a seventh of a
CPU. [Decision 20](decisions/0020-packages-are-compiled-when-they-are-built.md) is about the
compilation.

| function | sources only | compiled by `make build` | ms, sources | ms, compiled | saved |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
"""


def _function(module: str) -> str:
    if module == EMPTY:
        return "empty handler"
    return f"`{module.partition('.')[2].title().replace('_', '')}`"


def _every_cell(results: Row) -> str:
    head = "| shape at calls/s | first run | rate known | version 0.3 | nested Map |"
    lines = [head, "| --- | ---: | ---: | ---: | ---: |"]
    found = {(cell["shape"], cell["rate"], cell["first"]): cell for cell in results["cells"]}
    nested = {(row["shape"], row["rate"]): row for row in results["nested"]}
    for before in results["0.3"]:
        shape, rate = before["shape"], before["rate"]
        rows = (found[shape, rate, True], found[shape, rate, False], before)
        columns = " | ".join([*map(_cell, rows), _cell_or_none(nested.get((shape, rate)))])
        lines.append(f"| {shape} at {rate} | {columns} |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    marks = [
        "**missed**" if row.get("met") is False else "",
        f"{row['failed']:,.0f} failed" if row["failed"] else "",
        f"{row['deferred']:,.0f} deferred" if row["deferred"] else "",
        "" if row["is_finished"] else "timed out",
    ]
    values = [_percent(row["throttled"]), _seconds(row), f"{row['usd_per_1000']:.4f}", *marks]
    return " · ".join(filter(None, values))


def _cell_or_none(row: Row | None) -> str:
    return _cell(row) if row else "not measured"


def _robust(rows: Iterable[Row]) -> str:
    lines = list[str]()
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    rates = [row["rate"] for row in next(iter(cases.values()))]
    lines.append(f"| limit | {' | '.join(f'{rate}/s' for rate in rates)} |")
    lines.append(f"| --- |{' ---: |' * len(rates)}")
    for case, found in cases.items():
        columns = " | ".join(
            f"{row['share'] * 100:.0f} / {row['throttled'] * 100:.1f} %" for row in found
        )
        lines.append(f"| {case} | {columns} |")
    return "\n".join(lines)


def _constants(without: Row) -> str:
    return "\n".join(
        f"| `{name}` | {getattr(pacing, name)} | {MEANINGS[name]} | "
        f"{without[name]['remembered']}, {without[name]['first']} of 16 | "
        f"{_percent(without[name]['idle']['throttled'])} |"
        for name in pacing.CONTROLLER
    )


def _heads(rows: list[Row]) -> str:
    return " | ".join(f"{row['rate']}/s" for row in rows)


def _row(rows: list[Row], show: Any) -> str:
    return " | ".join(map(show, rows))


def _seconds(row: Row) -> str:
    return f"{row['seconds']:,.0f} ({row['ideal']:,.0f})"


def _calls(row: Row) -> str:
    return f"{row['calls'] / row['started']:.3f}"


def _events(row: Row) -> str:
    return f"{row['events']:,.0f}"


def _kibibytes(row: Row) -> str:
    return f"{row['payload'] / 1024:.0f}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


# The picture: two charts of 10 × 1,000 by rate

WIDTH, HEIGHT, LEFT, TOP = 330, 220, 50, 50
COLORS = {"this version": "#1a7f37", "version 0.3": "#9a6700", "nested Map": "#cf222e"}


def picture(results: Row) -> str:
    """Return both charts as SVG."""
    shape = "10 × 1,000"
    designs = {
        "this version": [
            row for row in results["cells"] if row["shape"] == shape and not row["first"]
        ],
        "version 0.3": [row for row in results["0.3"] if row["shape"] == shape],
        "nested Map": [row for row in results["nested"] if row["shape"] == shape],
    }
    charts = [
        _chart(0, "Throttled share of calls, %", designs, "throttled", 100.0, (0, 25, 50, 75, 100)),
        _chart(1, "USD per 1,000 scans", designs, "usd_per_1000", 1.0, (0.001, 0.01, 0.1, 1.0)),
    ]
    legend = "".join(
        f'<rect x="{LEFT + place * 150}" y="12" width="12" height="12" fill="{color}"/>'
        f'<text x="{LEFT + place * 150 + 18}" y="22">{name}</text>'
        for place, (name, color) in enumerate(COLORS.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * (WIDTH + LEFT) + 40} '
        f'{HEIGHT + TOP + 50}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/>{legend}{"".join(charts)}</svg>\n'
    )


def _chart(
    place: int,
    title: str,
    designs: Mapping[str, list[Row]],
    value: str,
    factor: float,
    marks: tuple[float, ...],
) -> str:
    left = LEFT + place * (WIDTH + LEFT + 10)
    is_log = marks[0] > 0

    def height(amount: float) -> float:
        low, high = (math.log(marks[0]), math.log(marks[-1])) if is_log else (0.0, marks[-1])
        at = math.log(max(amount, marks[0])) if is_log else amount
        return TOP + HEIGHT - (at - low) / (high - low) * HEIGHT

    def across(rate: float) -> float:
        return left + math.log(rate) / math.log(200) * WIDTH

    parts = [f'<text x="{left}" y="{TOP - 10}" font-weight="bold">{title}</text>']
    for mark in marks:
        parts.append(
            f'<line x1="{left}" x2="{left + WIDTH}" y1="{height(mark):.1f}" '
            f'y2="{height(mark):.1f}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{height(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>'
        )
    rows = next(iter(designs.values()))
    parts.extend(
        f'<text x="{across(row["rate"]):.1f}" y="{TOP + HEIGHT + 18}" '
        f'text-anchor="middle">{row["rate"]}</text>'
        for row in rows
    )
    parts.append(
        f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">'
        "ECR's limit, calls per second (10 repositories × 1,000 due images)</text>"
    )
    for name, found in designs.items():
        points = " ".join(
            f"{across(row['rate']):.1f},{height(row[value] * factor):.1f}" for row in found
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>'
        )
    return "".join(parts)
