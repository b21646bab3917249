"""The weeks after the demo's first run: nothing has changed, and then what the file says has.

A week goes by in the registry, whose ages count anew, and in the ledger, where every date is set
back. Only the repositories in which something changes are rescanned.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import yaml
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from local.cloud.engine import Engine
from local.demo.messages import Decided

AWAY = timedelta(days=8)  # more than RescanAfter, so that all is due again
SCAN_DURATION = "1s"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00")


@dataclass(frozen=True)
class Week:
    """A run a week after the one before.

    text: the registry file as it is then. repositories: those that are rescanned.
    changes: whether people are to be told of scans, or of none.
    """

    title: str
    text: str
    repositories: tuple[str, ...]
    changes: bool

    @property
    def input(self) -> Mapping[str, Any]:
        """Make the input of its run."""
        return {"repositories": list(self.repositories)}

    def surprise(self, decisions: Sequence[Decided]) -> str | None:
        """Say in one sentence what people should not, or should, have been told, if anything."""
        told = [each.about for each in decisions if each.tell and each.is_of_a_scan]
        if told and not self.changes:
            return f"Nothing had changed, but people were told of {len(told)} scans: {told[0]} …"
        if self.changes and not told:
            return "Findings had changed, but people were told of no scan."
        return None


def weeks_of(text: str) -> list[Week]:
    """Make two weeks of a registry file in which some images have findings `later`; else none."""
    now, later = _without_troubles(text), _without_troubles(text)
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
        Week("A week later nothing has changed.", yaml.safe_dump(now), repositories, changes=False),
        Week("Another week, and findings have changed.", yaml.safe_dump(later), repositories, True),
    ]


def let_time_go_by(engine: Engine, table: str) -> None:
    """Set back every date of what is known of images."""
    client = engine.client("dynamodb")
    read, write = TypeDeserializer().deserialize, TypeSerializer().serialize
    pages = client.get_paginator("scan").paginate(TableName=table)
    for item in [item for page in pages for item in page["Items"]]:
        if item["pk"]["S"].startswith("repository#"):
            aged = {name: write(_aged(read(value))) for name, value in item.items()}
            client.put_item(TableName=table, Item=aged)


def _without_troubles(text: str) -> dict[str, Any]:
    """Read a registry file, without the faults of the first run, and with quick scans."""
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
        return (datetime.fromisoformat(value) - AWAY).isoformat()
    if isinstance(value, dict):
        return {name: _aged(item) for name, item in value.items()}
    return [_aged(item) for item in value] if isinstance(value, list) else value
