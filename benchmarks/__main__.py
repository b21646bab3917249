"""Measure everything, and write docs/performance.md: `make bench`."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import cells
from benchmarks.report import PICTURE, RESULTS, TEXT, picture, text
from benchmarks.rescan import Result, Shape
from benchmarks.starts import starts


def measure() -> None:
    """Run everything, and keep each part as soon as it is measured; takes some minutes."""
    is_continued = "--continue" in sys.argv
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if is_continued else {}
    for name, part in PARTS.items():
        if name in results:
            continue
        results[name] = part()
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        sys.stderr.write(f"{name}\n")


def _cells() -> object:
    return [
        {
            "shape": str(cell.shape),
            "rate": cell.rate,
            "first": cell.is_first,
            "met": cell.is_met,
            "most_seconds": round(cell.most_seconds),
            **cells.values(cell.result),
        }
        for cell in cells.cells()
    ]


def _robust() -> object:
    return [
        {"case": case, "rate": rate, **cells.values(make(rate).run())}
        for case, make in cells.ROBUST.items()
        for rate in (1, 5, 20, 200)
    ]


def _without() -> object:
    found: dict[str, Any] = {}
    for constant in cells.WITHOUT:
        with cells.without(constant):
            measured = list(cells.cells(cells.SHAPES[:2], seeds=(1,)))
            idle = cells.values(cells.after_an_idle_run(200))
        found[constant] = {
            "first": sum(cell.is_met for cell in measured if cell.is_first),
            "remembered": sum(cell.is_met for cell in measured if not cell.is_first),
            "missed": [
                f"{'first' if cell.is_first else 'remembered'} {cell.shape} at {cell.rate}/s"
                for cell in measured
                if not cell.is_met
            ],
            "idle": idle,
        }
    return found


def _of_design(
    measured: Callable[[Shape, int], Result], shapes: tuple[Shape, ...] = cells.SHAPES
) -> object:
    return [
        {"shape": str(shape), "rate": rate, **cells.values(measured(shape, rate))}
        for shape in shapes
        for rate in cells.RATES
    ]


def _by_rate(measured: Callable[[int], Result], *rates: int) -> object:
    return [{"rate": rate, **cells.values(measured(rate))} for rate in rates]


PARTS: dict[str, Callable[[], object]] = {
    "cells": _cells,
    "0.3": lambda: _of_design(cells.of_0_3),
    "nested": lambda: _of_design(cells.nested_map, cells.SHAPES[:2]),
    "large": lambda: _by_rate(cells.large, 1, 20, 200),
    "cold": lambda: _by_rate(cells.cold, 20),
    "warm": lambda: _by_rate(cells.warm, 5, 20, 50),
    "robust": _robust,
    "idle": lambda: cells.values(cells.after_an_idle_run(200)),
    "without": _without,
    "starts": starts,
}


def main() -> None:
    """Measure, or continue a measurement, or only write the text."""
    logging.disable(logging.CRITICAL)
    if "--text" not in sys.argv:
        measure()
    results = json.loads(RESULTS.read_text())
    TEXT.write_text(text(results))
    PICTURE.write_text(picture(results))


if __name__ == "__main__":
    main()
