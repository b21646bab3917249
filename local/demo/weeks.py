"""The weeks after the demo's first run: one without changes, and one with changed findings.

Time passes by loading the registry file again, whose ages count from now, and by setting back every
date in the ledger. Only the repositories that have changes are rescanned.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import yaml
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from local.cloud.engine import Engine

PASSING = timedelta(days=8)  # more than RescanAfter, so that every image is due again
SCAN_DURATION = "1s"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00")


@dataclass(frozen=True)
class Week:
    """One week and its run.

    text: the registry file of that week. repositories: those to rescan.
    changes: whether at least one notification about a scan is expected, or none.
    """

    title: str
    text: str
    repositories: tuple[str, ...]
    changes: bool

    @property
    def input(self) -> Mapping[str, Any]:
        """Return the execution input of its run."""
        return {"repositories": list(self.repositories)}


def weeks_of(text: str) -> list[Week]:
    """Return two weeks if images in the registry file have findings `later`, else none."""
    now, later = _without_faults(text), _without_faults(text)
    names = []
    for repository in later["repositories"]:
        changing = [image for image in repository.get("images", ()) if "later" in image]
        for image in changing:
            image["findings"] = image["later"]
        if changing:
            names.append(repository["name"])
    if not names:
        return []
    repositories = tuple(names)
    return [
        Week(
            "A week later, nothing has changed.", yaml.safe_dump(now), repositories, changes=False
        ),
        Week(
            "Another week later, findings have changed.", yaml.safe_dump(later), repositories, True
        ),
    ]


def let_time_pass(engine: Engine, table: str) -> None:
    """Set back every date in the image records of the ledger.

    What was delivered keeps its dates, as the days on which findings were first seen do: a delivery
    before such a day counts for nothing.
    """
    client = engine.client("dynamodb")
    read, write = TypeDeserializer().deserialize, TypeSerializer().serialize
    pages = client.get_paginator("scan").paginate(TableName=table)
    for item in [item for page in pages for item in page["Items"]]:
        is_delivery = item["sk"]["S"].startswith("notified#")
        if item["pk"]["S"].startswith("repository#") and not is_delivery:
            aged = {name: write(_aged(read(value))) for name, value in item.items()}
            client.put_item(TableName=table, Item=aged)


def _without_faults(text: str) -> dict[str, Any]:
    """Return a registry file without the faults of the first run, and with quick scans."""
    registry: dict[str, Any] = yaml.safe_load(text)
    for part in _parts(registry):
        part.pop("faults", None)
    return registry | {"scan_duration": SCAN_DURATION}


def _parts(registry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield registry
    for repository in registry["repositories"]:
        yield repository
        yield from repository.get("images", ())


def _aged(value: Any) -> Any:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return (datetime.fromisoformat(value) - PASSING).isoformat()
    if isinstance(value, dict):
        return {name: _aged(item) for name, item in value.items()}
    return [_aged(item) for item in value] if isinstance(value, list) else value
