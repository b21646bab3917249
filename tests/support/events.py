"""Events as EventBridge might send them, and as it should not: strategies, and the samples.

An `ECR Image Scan` is made by the schema registry's entry; the other kinds, which have none,
without it. Of each field an example draws a few values, good and bad, and many events are put
together from them: Hypothesis is slow at drawing, and a hundred events from one
draw are a hundred events.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from notify_scan.interpret_event import ReceivedEvent, interpret_event
from notify_scan.interpreted_event import InterpretedEvent
from reporting.reports import Interpretation
from tests.support.clock import LATER
from tests.support.template import ROOT

HOSTILE = (
    "<!channel>",
    "<!here|everybody>",
    "<@U1>",
    "<https://evil.example|click>",
    "&",
    "&lt;b&gt;",
    "<",
    ">",
    "> quote",
    "*bold*",
    "_italic_",
    "~struck~",
    "`",
    "``` pre ```",
    "` *out* `",
    "two\nlines",
    "\r\n# heading",
    "[x](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "{{DATE(2026-01-01T00:00:00Z,SHORT)}}",
    "{{{TIME(2026-01-01T00:00:00Z)}}}",
    "<at>somebody</at>",
    "@channel #general :tada:",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "\N{LEFT-TO-RIGHT ISOLATE}x",
    "zero\N{ZERO WIDTH SPACE}width",
    "\x00\x1b[31m\x7f",
    '"quoted" \\ and \\u0041',
    "\N{PARTY POPPER}",
    "\N{LINE SEPARATOR}",
    " ",
    "-",
    "1. one",
    "| a | b |",
    "www.evil.example",
    "$(id) ${x} %s {0}",
)
UNSENDABLE = ("\ud800", "tail\udfff", "\uffff", "\ufffe")
LONG = ("x" * 300, "&" * 300, "\N{PARTY POPPER}" * 300, "`<*" * 100, "word " * 60)

DIGEST = "sha256:" + "c0ffee" * 10 + "c0de"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:rescan:"


def interpreted_event(event: Any, now: datetime = LATER) -> InterpretedEvent:
    """Read an event as InterpretEvent does, where the samples come from."""
    return interpret_event(
        ReceivedEvent(event),
        account="123456789012",
        region="eu-central-1",
        kept_for=timedelta(days=180),
        now=now,
    )


def interpreted(event: Any) -> Interpretation:
    """Read an event as InterpretEvent does, without the record that it makes."""
    return interpreted_event(event).interpretation


def sample(name: str) -> dict[str, Any]:
    """Read an event of events/eventbridge."""
    event: dict[str, Any] = json.loads((ROOT / f"events/eventbridge/{name}.json").read_text())
    return event


@cache
def schema() -> dict[str, Any]:
    """Read what the schema registry says of the detail of an ECR Image Scan."""
    path = ROOT / "tests/support/schemas/ecr-image-scan.json"
    known: dict[str, Any] = json.loads(path.read_text())
    return known


hostile_texts = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=12)
# What has no place in a field, or not in this size.
wrong: SearchStrategy[Any] = st.sampled_from(
    (None, True, -1, 0.5, 1e300, 10**30, float("nan"), "", "x" * 301, [], [[]], {}, [None])
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)

# The values that make of a row of strings an event which could be real.
_LIKELY: dict[str, Sequence[Any]] = {
    "image-digest": (DIGEST, DIGEST[:-1] + "1", ""),
    "repository-name": ("team/api", "prod/web"),
    "repository": ("team/api", "prod/web"),
    "scan-status": ("COMPLETE", "COMPLETE", "FAILED", "INITIAL_SCAN_COMPLETE"),
    "account": ("123456789012",),
    "name": ("run-1",),
    "run": ("run-1", "scheduled-2026-03-14"),
    "error": ("RescanIncomplete", "SettingsError", "States.Timeout", "Lambda.Unknown"),
}
# In the notation of the schema registry, with words of our own where it has but strings.
_ENVELOPE = {"account": "string", "region": "region", "time": "time", "resources": ["arn"]}
_COUNTS = {"CRITICAL?": "number", "HIGH?": "number", "MEDIUM?": "number", "TOTAL?": "number"}
_SCHEMAS: dict[tuple[str, str], Callable[[], Any]] = {
    ("aws.ecr", "ECR Image Scan"): schema,
    ("aws.inspector2", "Inspector2 Scan"): lambda: {
        "scan-status": "string",
        "repository-name?": "arn",
        "finding-severity-counts?": _COUNTS,
        "image-digest?": "string",
        "image-tags?": ["string"],
        "instance-id?": "string",
        "version?": "string",
    },
    ("ecr-rescan", "Rescan Finished"): lambda: {"run": "string"},
    ("ecr-rescan", "Scan Result Found"): lambda: {
        "repository-name": "string",
        "image-digest": "string",
    },
    ("aws.states", "Step Functions Execution Status Change"): lambda: {
        "executionArn": "execution",
        "name": "string",
        "status": "run status",
        "error?": "string",
        "cause?": "string",
        "input?": "string",
        "stopDate?": "number",
    },
    # Of no use to NotifyScan, whose rules do not admit it.
    ("aws.inspector2", "Inspector2 Finding"): lambda: {"severity": "string"},
}
_WEIGHTS = (40, 25, 8, 8, 13, 6)
_TIMES = (
    "2026-03-14T03:00:00Z",
    "2026-03-14T03:00:00.123456+05:30",
    "2026-03-14",
    "20260314T030000",
    "0001-01-02T00:00:00+00:00",
    "9999-06-29T00:00:00Z",
)
_RUN_STATUSES = ("FINISHED", "INCOMPLETE", "FAILED", "TIMED_OUT", "ABORTED")
_REGIONS = ("eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1")
_ARNS = tuple(
    f"arn:aws{partition}:ecr:{region}:123456789012:repository/{name}"
    for partition, region in (("", "eu-west-1"), ("-cn", "cn-north-1"), ("-us-gov", "us-gov-1"))
    for name in ("team/api", "a", "team/<b>")
)


@dataclass(frozen=True)
class Batch:
    """Words, numbers and oddities, from which chance puts events together."""

    words: Sequence[str]
    numbers: Sequence[int | float]
    wrong: Sequence[Any]
    chance: random.Random

    def events(self, number: int) -> Iterator[Any]:
        """Put a number of events together; in every fourth, one field in twelve is wrong."""
        for _ in range(number):
            (kind,) = self.chance.choices([*_SCHEMAS], _WEIGHTS)
            badness = self.chance.choice((0, 0, 0, 1 / 12))
            if self.chance.random() < badness / 10:
                yield self.chance.choice(self.wrong)
                continue
            yield {
                "version": "0",
                "id": "any",
                "source": kind[0],
                "detail-type": kind[1],
                **self._value(_ENVELOPE, "", badness),
                "detail": self._value(_SCHEMAS[kind](), "", badness),
            }

    def _value(self, shape: Any, name: str, badness: float) -> Any:
        """Make a value by the registry's notation: where it says `?`, it may be absent or null."""
        chance, choice = self.chance, self.chance.choice
        if name and chance.random() < badness:
            return choice(self.wrong)
        match shape:
            case list():
                return [self._value(shape[0], "item", badness) for _ in range(choice((0, 1, 1, 5)))]
            case dict():
                return self._fields(shape, badness)
            case "number":
                return choice(self.numbers)
            case "time":
                return choice(_TIMES)
            case "execution":
                return EXECUTION + choice(("a", "b" * 80))
        likely = {"region": _REGIONS, "run status": _RUN_STATUSES, "arn": _ARNS}.get(shape)
        if chance.random() < 0.7 and (likely or name in _LIKELY):
            return choice(likely or _LIKELY[name])
        word = choice(self.words)
        return word[:50] if shape == "region" else word

    def _fields(self, shape: dict[str, Any], badness: float) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for told, inner in shape.items():
            name = told.removesuffix("?")
            is_there = told == name or self.chance.random() < 0.85
            if is_there and not self.chance.random() < badness / 3:
                made[name] = self._value(inner, name, badness)
            elif self.chance.random() < 0.3:
                made[name] = None
        unknown = self.chance.random()
        if "CRITICAL?" in shape and unknown < 0.3:
            more = ("UNTRIAGED", "TOTAL", "OTHER", "NONE", *self.words)
            made |= {each: self.chance.choice(self.numbers) for each in self.chance.sample(more, 3)}
        elif unknown < 0.05:
            made[self.chance.choice(self.words)] = self.chance.choice(self.wrong)
        return made


batches = st.builds(
    Batch,
    words=st.lists(
        st.sampled_from(("v1", "latest", "a.b-c_d", *HOSTILE, *UNSENDABLE, *LONG))
        | st.text(min_size=1, max_size=12),
        min_size=8,
        max_size=8,
        unique=True,
    ),
    numbers=st.lists(
        st.sampled_from((0, 1, 2, 3.0, 40, 1_000_000_000_000)) | st.integers(0, 500),
        min_size=6,
        max_size=6,
    ),
    wrong=st.lists(wrong, min_size=4, max_size=4),
    chance=st.integers(0, 2**64).map(random.Random),
)
