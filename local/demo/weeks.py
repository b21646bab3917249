"""The weeks after the demo's first run: one without changes, and one with changed findings.

Time passes by loading the registry file again, whose ages count from now, and by setting back every
date in the ledger and in the run bucket. Only the repositories that have changes are rescanned.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

import yaml
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from local.cloud.engine import Engine

PASSING = timedelta(days=8)  # more than RescanAfter, so that every image is due again
SCAN_DURATION = "1s"
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T[0-9:]{8}(?:\.[0-9]+)?(?:\+00:00|Z))")


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
            "A week later: every date so far is set back by 8 days. Nothing has changed.",
            yaml.safe_dump(now),
            repositories,
            changes=False,
        ),
        Week(
            "Another week later: 8 days more. Findings have changed.",
            yaml.safe_dump(later),
            repositories,
            True,
        ),
    ]


def let_time_pass(engine: Engine, table: str, bucket: str) -> None:
    """Set back what is known of images, and what runs have written.

    Executions keep their dates: no one can change those of Step Functions.
    """
    _age_images(engine, table)
    _age_runs(engine, bucket)


def _age_images(engine: Engine, table: str) -> None:
    client = engine.client("dynamodb")
    read, write = TypeDeserializer().deserialize, TypeSerializer().serialize
    pages = client.get_paginator("scan").paginate(TableName=table)
    for item in [item for page in pages for item in page["Items"]]:
        if item["pk"]["S"].startswith("repository#"):
            aged = {name: write(_aged(read(value))) for name, value in item.items()}
            if item["sk"]["S"].startswith("findings#"):
                aged["found"] = write(aged_findings(item["found"]["B"]))
            client.put_item(TableName=table, Item=aged)


def aged_findings(found: bytes) -> bytes:
    """Set back every day in the findings of an image, as ledger/known_findings.py packs them.

    The changes that are noted with them keep theirs: they only repeat a message.
    """
    version, since, present, gone, *rest = json.loads(zlib.decompress(found))
    days = PASSING.days
    for row in chain.from_iterable(present.values()):
        row[2] -= days  # first seen
    for row in chain.from_iterable(gone.values()):
        row[2] -= days  # first seen
        row[3] -= days  # gone
    content = [version, since - days, present, gone, *rest]
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode())


def _age_runs(engine: Engine, bucket: str) -> None:
    """Set back the summaries of runs and their lists of images, the oldest first."""
    client = engine.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="runs/")
    written = [each for page in pages for each in page.get("Contents", ())]
    for each in sorted(written, key=lambda each: (each["LastModified"], each["Key"])):
        key = each["Key"]
        if not key.endswith(("/summary.json", ".ndjson.gz")):
            continue
        answer = client.get_object(Bucket=bucket, Key=key)
        body = answer["Body"].read()
        is_packed = key.endswith(".gz")
        text = (gzip.decompress(body) if is_packed else body).decode()
        aged = re.sub(rf'(?<="){_TIME.pattern}(?=")', _earlier, text).encode()
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=gzip.compress(aged, mtime=0) if is_packed else aged,
            ContentType=answer["ContentType"],
        )


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
    """Set back every time in a structure."""
    if isinstance(value, str) and (time := _TIME.fullmatch(value)):
        return _earlier(time)
    if isinstance(value, dict):
        return {name: _aged(item) for name, item in value.items()}
    return [_aged(item) for item in value] if isinstance(value, list) else value


def _earlier(time: re.Match[str]) -> str:
    return f"{date.fromisoformat(time[1]) - PASSING}{time[2]}"
