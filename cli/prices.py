"""What AWS charges for what a run uses: list prices, from prices.toml."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Self

FUNCTION_GB = 0.25  # memory of most functions
LOG_LINE_GB = 440e-9  # one line of the log per invocation
EXPRESS_GB = 64 / 1024  # the least that an Express execution is charged for


@dataclass(frozen=True)
class Prices:
    """List prices in USD by unit, as prices.toml names them."""

    region: str
    compared_on: date
    usd: Mapping[str, float]
    source: Mapping[str, str]


@functools.cache
def prices() -> Prices:
    """Read the prices."""
    return Prices(**tomllib.loads((Path(__file__).parent / "prices.toml").read_text()))


@dataclass(frozen=True)
class Usage:
    """What is charged for. seconds: of functions of 256 MB. log_gb: beside a line per invocation.

    express_seconds: of Express executions of 64 MB.
    """

    transitions: float = 0
    invocations: float = 0
    seconds: float = 0
    write_units: float = 0
    read_units: float = 0
    puts: float = 0
    express_requests: float = 0
    express_seconds: float = 0
    log_gb: float = 0
    traces: float = 0

    def times(self, count: float) -> Self:
        """Multiply."""
        return type(self)(**{name: count * value for name, value in vars(self).items()})

    def plus(self, other: "Usage") -> Self:
        """Add up."""
        return type(self)(
            **{
                each.name: getattr(self, each.name) + getattr(other, each.name)
                for each in fields(self)
            }
        )

    def usd_of_transitions(self) -> float:
        """Return what the state transitions of Standard workflows cost."""
        return self.transitions * prices().usd["transition"]

    def usd_of_traces(self) -> float:
        """Return what X-Ray costs."""
        return self.traces * prices().usd["trace"]

    def usd(self) -> float:
        """Return what everything costs."""
        usd = prices().usd
        return (
            self.usd_of_transitions()
            + self.usd_of_traces()
            + self.invocations * (usd["invocation"] + LOG_LINE_GB * usd["log_gb"])
            + self.seconds * FUNCTION_GB * usd["gb_second"]
            + self.write_units * usd["write_unit"]
            + self.read_units * usd["read_unit"]
            + self.puts * usd["put"]
            + self.express_requests * usd["express_request"]
            + self.express_seconds * EXPRESS_GB * usd["express_gb_second"]
            + self.log_gb * usd["log_gb"]
        )
