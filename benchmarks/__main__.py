"""Measure everything, and write docs/performance.md: `make bench`."""

import json
import logging
import sys
from typing import Any

from benchmarks import cells
from benchmarks.report import PICTURE, RESULTS, TEXT, picture, text


def measure() -> dict[str, Any]:
    """Run everything; takes some minutes."""
    found = list(cells.cells())
    _say(f"{sum(cell.is_met for cell in found)} of {len(found)} cells are met")
    results: dict[str, Any] = {
        "cells": [
            {
                "shape": str(cell.shape),
                "rate": cell.rate,
                "first": cell.is_first,
                "met": cell.is_met,
                "most_seconds": round(cell.most_seconds),
                **cells.values(cell.result),
            }
            for cell in found
        ]
    }
    for name, measured in (("0.3", cells.of_0_3), ("nested", cells.nested_map)):
        results[name] = [
            {"shape": str(shape), "rate": rate, **cells.values(measured(shape, rate))}
            for shape in cells.SHAPES
            for rate in cells.RATES
        ]
        _say(f"{name} is measured")
    results["robust"] = [
        {"case": case, "rate": rate, **cells.values(make(rate).run())}
        for case, make in cells.ROBUST.items()
        for rate in (1, 5, 20, 100, 200)
    ]
    results["warm"] = [{"rate": r, **cells.values(cells.warm(r))} for r in (5, 20, 50, 200)]
    results["cold"] = [{"rate": r, **cells.values(cells.cold(r))} for r in (5, 20, 100, 200)]
    results["large"] = [{"rate": r, **cells.values(cells.large(r))} for r in (1, 5, 20, 200)]
    _say("fleets and large repositories are measured")
    results["idle"] = cells.values(cells.after_an_idle_run(200))
    results["without"] = {}
    for constant in cells.WITHOUT:
        with cells.without(constant):
            found = list(cells.cells(seeds=(1,)))
            idle = cells.values(cells.after_an_idle_run(200))
        results["without"][constant] = {
            "first": sum(cell.is_met for cell in found if cell.is_first),
            "remembered": sum(cell.is_met for cell in found if not cell.is_first),
            "missed": [
                f"{'first' if cell.is_first else 'remembered'} {cell.shape} at {cell.rate}/s"
                for cell in found
                if not cell.is_met
            ],
            "idle": idle,
        }
        _say(f"without {constant}: {results['without'][constant]}")
    return results


def _say(progress: str) -> None:
    sys.stderr.write(f"{progress}\n")


def main() -> None:
    """Measure, unless only the text is to be written."""
    logging.disable(logging.CRITICAL)
    if "--text" not in sys.argv:
        RESULTS.write_text(json.dumps(measure(), indent=1, ensure_ascii=False) + "\n")
    results = json.loads(RESULTS.read_text())
    TEXT.write_text(text(results))
    PICTURE.write_text(picture(results))


if __name__ == "__main__":
    main()
