"""The formula of what a run costs, compared with the simulation."""

import json
import re

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.cost import (
    ALARMS,
    METRICS,
    Size,
    Speed,
    alike,
    enhanced_usd_a_month,
    fan_out_usd,
    fixed_usd_a_month,
    results_cost,
    run_cost,
    startable,
)
from cli.prices import prices
from tests.support.template import ROOT, resources

MEASURED = json.loads((ROOT / "benchmarks" / "results.json").read_text())


@pytest.mark.parametrize(
    "cell",
    [each for each in MEASURED["cells"] if not each["first"]],
    ids=lambda cell: f"{cell['shape']} at {cell['rate']}",
)
def test_the_formula_agrees_with_the_simulation(cell: dict[str, float | str]) -> None:
    repositories, due = (int(each.replace(",", "")) for each in str(cell["shape"]).split(" × "))
    cost = run_cost({Size(due, due): repositories}, Speed(float(cell["rate"])))
    usage = cost.usage
    scans = repositories * due
    assert usage.transitions / scans == pytest.approx(float(cell["transitions"]), rel=0.25)
    without_traces = usage.usd() - usage.usd_of_traces()
    assert without_traces / scans * 1000 == pytest.approx(float(cell["usd_per_1000"]), rel=0.18)
    assert cost.seconds == pytest.approx(float(cell["seconds"]), rel=0.2, abs=6)


@pytest.mark.parametrize("row", MEASURED["warm"], ids=lambda row: f"at {row['rate']}")
def test_the_formula_agrees_with_the_simulation_of_a_fleet(row: dict[str, float]) -> None:
    cost = run_cost({Size(1_000, 100): 1_000}, Speed(row["rate"]))
    assert cost.usage.usd() - cost.usage.usd_of_traces() == pytest.approx(row["usd"], rel=0.15)


def test_a_registry_without_images_costs_little() -> None:
    cost = run_cost({Size(0, 0): 2}, Speed(20))
    assert (cost.usage.transitions, cost.due) == (16, 0)
    assert run_cost({}, Speed(20)).usage.transitions == 6


def test_a_daily_run_finds_a_seventh_due() -> None:
    assert alike(100, 50) == {Size(50, 8): 100}


@pytest.mark.parametrize(
    ("sizes", "rate", "starts"),
    [
        ({Size(1, 1): 200_000}, 20, 100_000),
        ({Size(14, 2): 60_000}, 50, 100_000),
        ({Size(7, 1): 3, Size(70, 10): 2, Size(0, 0): 5}, 20, 23),
        ({Size(7, 1): 3, Size(700, 100): 2, Size(0, 0): 5}, 0.001, 20),
        ({Size(7, 1): 30, Size(70, 10): 2}, 0.001, 20),
        ({Size(0, 0): 4}, 20, 0),
    ],
)
def test_a_run_starts_what_its_time_and_the_quota_allow(
    sizes: dict[Size, int], rate: float, starts: int
) -> None:
    started = startable(sizes, rate)
    assert sum(size.due * count for size, count in started.items()) == starts
    assert started.total() == sum(sizes.values())
    most = max(size.due for size in sizes)
    assert all(0 <= size.due <= most and count > 0 for size, count in started.items())


def test_enhanced_scanning_is_charged_by_image() -> None:
    month = enhanced_usd_a_month(5_000, pushed=100)
    assert month == pytest.approx(100 * 0.09 + 5_000 * 30.4 / 7 * 0.01)


def test_a_queue_has_three_requests_and_an_invocation_per_repository() -> None:
    nothing = Size(0, 0)
    one = fan_out_usd({nothing: 1})
    assert one == pytest.approx(3 * 0.4e-6 + 0.42e-6 + 1.2 * 0.25 * 13.3334e-6)
    assert fan_out_usd({nothing: 3}) == pytest.approx(3 * one)


def test_metrics_are_charged_in_hours_with_a_run() -> None:
    daily, hourly, twice = (fixed_usd_a_month(runs=runs) for runs in (30.4, 730, 1_460))
    assert daily < hourly == twice
    assert fixed_usd_a_month(secrets=2, dashboards=1) - daily == pytest.approx(2 * 0.4 + 3)


def test_alarms_are_those_of_the_template() -> None:
    assert len(resources("AWS::CloudWatch::Alarm")) == ALARMS


def test_prices_name_their_sources() -> None:
    assert prices().region == "us-east-1"
    site = "https://aws.amazon.com/"
    assert {each[: len(site)] for each in prices().source.values()} == {site}


def test_results_cost_more_if_they_are_sent() -> None:
    silent = results_cost(1_000, changed=0).usd()
    assert silent == pytest.approx(1_000 * 15.2e-6, rel=0.02)
    sent = results_cost(1_000, changed=1).usd()
    assert sent == pytest.approx(1_000 * 36e-6, rel=0.1)


def test_the_document_has_the_numbers_that_the_command_prints() -> None:
    text = (ROOT / "docs" / "cost.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    shapes = [row for row in rows if re.fullmatch(r"[0-9]+x[0-9]+@[0-9]+", row[0])]
    assert len(shapes) >= 5
    for shape, *numbers in shapes:
        answer = CliRunner().invoke(app, ["plan", "--shape", shape, "--output", "json"])
        found = json.loads(answer.stdout)
        usd, beside = found["usd"], found["usd_beside"]
        assert [float(number.replace(",", "")) for number in numbers] == [
            found["counts"]["would_start"],
            found["transitions"],
            pytest.approx(usd["run"] - usd["results"], abs=6e-3, rel=0.02),
            pytest.approx(usd["results"], abs=6e-3, rel=0.02),
            pytest.approx(usd["month_of_daily_runs"], abs=6e-3),
            pytest.approx(beside["queue_fan_out_run"], abs=6e-3, rel=0.02),
            pytest.approx(beside["enhanced_scanning_month"], abs=6e-3),
        ], shape


def test_fixed_costs_are_those_of_the_alarms_and_metrics_that_are_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert f"\n{METRICS} metrics of runs for 0.30 USD each" in text
    assert f"**They cost {fixed_usd_a_month():.2f} USD per month**" in text
    cost = (ROOT / "docs" / "cost.md").read_text()
    assert f"\nAlarms and metrics together are {fixed_usd_a_month():.2f} USD" in cost
    assert f"| {METRICS} metrics of runs, 0.30 each" in cost
