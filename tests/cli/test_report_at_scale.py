"""The report of 10,000 images, without a network: what it reads, and what it keeps."""

import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from cli.report.document import ReportedImage
from cli.report.images import Known, Rules, reported_image
from cli.report.inventory import SEGMENTS, WantedFindings, read_inventory
from cli.report.listing import ListedImage
from cli.report.totals import totals_of, worst_first
from ledger.attributes import attributes, key_attributes
from ledger.changes import Change, ChangedFinding, FindingsChange
from ledger.image_records import Baseline, ImageRecord, ImageState, Note, RecordedScan, image_key
from ledger.known_findings import KnownFinding, KnownFindings, NotedChange, encoded, findings_key
from ledger.notified_images import Delivery, notified_key
from registry.images import Image
from tests.support.builders import any_policy
from tests.support.clock import NOW

pytestmark = pytest.mark.scale

IMAGES = 10_000
PAGE = 1024 * 1024  # bytes that DynamoDB reads for one page
UNIT = 8 * 1024  # bytes of one read request unit, eventually consistent
DAY = timedelta(days=1)
FIRST = date(2026, 1, 1)
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")


def size(item: dict[str, Any]) -> int:
    """Return about how many bytes DynamoDB counts for an item."""
    return sum(len(name) + _length(value) for name, value in item.items())


def _length(typed: dict[str, Any]) -> int:
    ((_, value),) = typed.items()
    if isinstance(value, dict):
        return 3 + sum(1 + len(name) + _length(each) for name, each in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + (_length(each) if isinstance(each, dict) else 1) for each in value)
    return len(value) if isinstance(value, (str, bytes)) else 1


class Ledger:
    """Scans of a table of images, a fortieth of which has 500 findings, the others 20."""

    def __init__(self) -> None:
        chance = random.Random(12)
        self.images = [
            (f"team/app-{n % 100}", f"sha256:{chance.getrandbits(256):064x}") for n in range(IMAGES)
        ]
        self._counts: dict[bytes, Counter[str]] = {}
        many, few = self._findings(chance, 500), self._findings(chance, 20)
        self.pages: list[list[list[dict[str, Any]]]] = [[[]] for _ in range(SEGMENTS)]
        self.bytes = self.read_units = 0.0
        self.calls = self.items = 0
        filled = [0] * SEGMENTS
        for number, (repository, digest) in enumerate(self.images):
            segment = number % 100 % SEGMENTS  # a repository is one partition
            for item in self._items(repository, digest, many if number % 40 == 0 else few):
                length = size(item)
                if filled[segment] + length > PAGE:
                    self.pages[segment].append([])
                    filled[segment] = 0
                filled[segment] += length
                self.bytes += length
                self.items += 1
                self.pages[segment][-1].append(item)

    def get_paginator(self, operation: str) -> "Ledger":
        """Return itself, for the one operation that there is."""
        assert operation == "scan"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Return the pages of a segment, projected as DynamoDB does."""
        names = request["ExpressionAttributeNames"]
        paths = [
            [names[part] for part in path.split(".")]
            for path in request["ProjectionExpression"].split(", ")
        ]
        for page in self.pages[request["Segment"]]:
            units = math.ceil(sum(map(size, page)) / UNIT)
            self.read_units += units
            self.calls += 1
            yield {
                "Items": [projected(item, paths) for item in page],
                "ConsumedCapacity": {"CapacityUnits": float(units)},
            }

    def _findings(self, chance: random.Random, count: int) -> bytes:
        found = {
            (
                f"CVE-20{chance.randrange(20, 27)}-{chance.randrange(1000, 60_000)}",
                f"lib{n % 60}",
            ): (
                KnownFinding(
                    SEVERITIES[min(n % 9, 3)], date(2026, 1, 1) + DAY * (n % 60), revision=n % 5
                )
            )
            for n in range(count)
        }
        new = tuple(
            ChangedFinding(
                name, package, "HIGH", version="1.2.3-4+deb12u1", first_seen="2026-03-01"
            )
            for name, package in [*found][: count // 10]
        )
        state = ImageState({"HIGH": 2}, ("HIGH",))
        changes = tuple(
            NotedChange(f"event-{n}", Change.WORSE, state, FindingsChange(new=new))
            for n in range(5)
        )
        known = encoded(KnownFindings(0, "BASIC", date(2026, 1, 1), found, changes=changes))
        self._counts[known] = Counter(each.severity for each in found.values())
        return known

    def _items(self, repository: str, digest: str, found: bytes) -> Iterator[dict[str, Any]]:
        counts = dict(self._counts[found])
        state = ImageState(counts, SEVERITIES, thresholds=dict.fromkeys(SEVERITIES, 0))
        notes = tuple(Note(f"event-{n}", NOW, state, NOW) for n in range(5))
        record = ImageRecord(
            digest,
            RecordedScan(NOW - 3 * DAY, "COMPLETE", "BASIC", counts),
            image_tags=("v1",),
            baseline=Baseline(state, NOW, 5, notes, incident=""),
        )
        values = {name: each for name, each in vars(record).items() if name != "image_digest"}
        yield {**key_attributes(image_key(repository, digest)), **attributes(values)}
        values = {"found": found, "revision": 5, "scan_type": "BASIC", "expires_at": 1_900_000_000}
        yield {**key_attributes(findings_key(repository, digest)), **attributes(values)}
        delivery = Delivery("0123456789abcdef" * 2, NOW - DAY, 5)
        values = {
            f"{channel}_{slot}": delivery for channel in ("SNS", "SLACK") for slot in ("first", 5)
        }
        yield {**key_attributes(notified_key(repository, digest)), **attributes(values)}


def projected(item: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    """Return the parts of an item that a projection names."""
    found: dict[str, Any] = {}
    for name, *rest in paths:
        if name not in item:
            continue
        if not rest:
            found[name] = item[name]
        elif rest[0] in item[name]["M"]:
            found.setdefault(name, {"M": {}})["M"][rest[0]] = item[name]["M"][rest[0]]
    return found


def test_reads_ten_thousand_images(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    client: Any = ledger
    inventory = read_inventory(client, "ledger-table", WantedFindings("LOW"))
    read = time.process_time() - begin
    rules = Rules(any_policy(), "BASIC", {}, NOW, "LOW")
    images = worst_first(joined(ledger, inventory, rules))
    seconds = time.process_time() - begin
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    figures = {
        "CPU s": round(seconds, 2),
        "CPU s to read": round(read, 2),
        "MiB more": memory,
        "read units": ledger.read_units,
        "bytes": int(ledger.bytes),
        "calls": ledger.calls,
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{IMAGES:,} images: {figures}\n")
    totals = totals_of(images, 100)
    assert (totals.images, totals.inside, totals.not_notified) == (IMAGES, IMAGES, 0)
    assert (inventory.searched, inventory.unreadable) == (IMAGES, [])
    assert inventory.read_units == ledger.read_units
    # Each item is read once, and no other call is made: half a unit for 4 KB of each page.
    assert ledger.items == 3 * IMAGES
    assert ledger.calls <= ledger.bytes / PAGE + SEGMENTS + 1
    assert ledger.read_units <= ledger.bytes / UNIT + ledger.calls


def joined(ledger: Ledger, inventory: Any, rules: Rules) -> Iterator[ReportedImage]:
    for repository, digest in ledger.images:
        key = repository, digest
        known = Known(
            inventory.records[key],
            findings=inventory.findings.pop(key),
            notified=inventory.notified[key],
        )
        yield reported_image(ListedImage(repository, Image(digest, NOW, ("v1",))), known, rules)
