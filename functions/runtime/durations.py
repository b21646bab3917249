"""Durations as operators write them and as messages carry them."""

import re
from datetime import timedelta

ACCEPTED = (
    "a duration such as 7d, 36h, 2w3d or 1m "
    "(m = 30 days, w = weeks, d = days, h = hours, in that order) or ISO 8601 such as P7D"
)
LONGEST = timedelta(days=36_500)

_PLAIN = re.compile(r"(?:([0-9]+)m)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?")
_ISO = re.compile(r"P(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T([0-9]+)H)?")
_HOURS = (30 * 24, 7 * 24, 24, 1)


def parse(text: str) -> timedelta:
    """Read a duration longer than zero and no longer than 100 years.

    Raises ValueError with a phrase that completes "<field> must be …".
    """
    match = _PLAIN.fullmatch(text) or _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{ACCEPTED}, not {text!r}")
    # Compared as whole hours: timedelta itself overflows on a long row of digits.
    hours = sum(
        int(count) * unit for count, unit in zip(match.groups(), _HOURS, strict=True) if count
    )
    if not 0 < hours <= LONGEST.total_seconds() // 3600:
        raise ValueError(f"longer than zero and at most {LONGEST.days} days, not {text!r}")
    return timedelta(hours=hours)


def iso(duration: timedelta) -> str:
    """Write a duration of whole hours as ISO 8601: days when it is whole days, else hours."""
    hours = int(duration.total_seconds() // 3600)
    return f"P{hours // 24}D" if hours % 24 == 0 else f"PT{hours}H"
