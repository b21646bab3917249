"""Multi-platform images: pushed as an index, scanned one by one, reported by platform."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.image_baselines import baselines
from ledger.image_records import ImageRecords, image_records
from ledger.platforms import platforms
from local.registry.registry_contents import (
    IMAGE_INDEX,
    Finding,
    Image,
    Scan,
    ScanResult,
    digest_of,
)
from notify_scan.record_platforms import PushEvent, RecordedPlatforms, record_platforms
from registry.ecr import ecr_registry
from reporting.channels.delivery import Channel
from tests.support.cases import case
from tests.support.engine import Engine
from tests.support.events import DIGEST
from tests.support.template import REGION
from tests.workflow.conftest import Deploy

HIGH = tuple(Finding(f"CVE-2026-{n}", "HIGH", f"package-{n}", "1.0") for n in range(3))
AT_ONCE = {"DigestChannels": "NONE", "NotifyOn": "NEW,WORSE,BETTER,CLEARED,FAILED"}
PLATFORMS = ("linux/amd64", "linux/arm64")


def push(deployed: Engine, tag: str, digests: Iterable[str], findings: tuple[Finding, ...]) -> None:
    """Push an index, and let EventBridge call RecordPlatforms."""
    digests, now = tuple(digests), deployed.clock.now()
    outputs: list[RecordedPlatforms] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["detail"].get("manifest-media-type") == IMAGE_INDEX:
            outputs.append(
                record_platforms(
                    PushEvent(event["time"], event["detail"]),
                    ecr_registry(),
                    platforms("LedgerTable"),
                    kept_for=timedelta(days=180),
                    now=now,
                )
            )

    deployed.registry.on_event = on_event
    scan = Scan(now, now, ScanResult(findings=findings))
    deployed.registry.push(
        "team/multi",
        *(Image(digest, now, last_scan=scan) for digest in digests),
        Image(
            digest_of("team/multi", f"{tag} {now}"),
            now,
            (tag,),
            manifest_media_type=IMAGE_INDEX,
            artifact_media_type=None,
            lists=dict(zip(digests, PLATFORMS, strict=True)),
        ),
    )
    assert [output.platforms for output in outputs] == [2]


def subjects(deployed: Engine) -> list[str]:
    return [each["Subject"] for each in deployed.receivers.of(Channel.SNS)]


def test_case_05_children_are_named_and_compared_by_release_and_platform(deploy: Deploy) -> None:
    deployed = deploy({"repositories": [{"name": "team/multi", "images": []}]}, **AT_ONCE)
    events = case("05-multi-arch-children.json", of="notify")["events"]
    reported = []
    for of_day in zip(events[::2], events[1::2], strict=True):
        at = datetime.fromisoformat(of_day[0]["time"])
        deployed.clock.move(at - deployed.clock.now())
        push(deployed, "v1", (event["detail"]["image-digest"] for event in of_day), HIGH)
        for event in of_day:
            execution = deployed.notify(event | {"region": REGION})
            reported.append(execution.output["reason"])
    assert reported == ["above a threshold"] * 2 + ["unchanged"] * 4
    first, second = subjects(deployed)
    assert "team/multi:v1 (linux/amd64)" in first
    assert "team/multi:v1 (linux/arm64)" in second


def test_a_new_finding_in_one_platform_is_reported_of_that_platform(deploy: Deploy) -> None:
    deployed = deploy({"repositories": [{"name": "team/multi", "images": []}]}, **AT_ONCE)
    events = case("05-multi-arch-children.json", of="notify")["events"]
    later = Finding("CVE-2026-31337", "HIGH", "openssl", "3.0.11")
    for of_day, findings in ((events[:2], HIGH), (events[2:4], (*HIGH, later))):
        at = datetime.fromisoformat(of_day[0]["time"])
        deployed.clock.move(at - deployed.clock.now())
        digests = [event["detail"]["image-digest"] for event in of_day]
        push(deployed, "v1", digests, findings)
        of_arm = json.loads(json.dumps(of_day[1] | {"region": REGION}))
        of_arm["detail"]["finding-severity-counts"] = {"HIGH": len(findings)}
        execution = deployed.notify(of_arm)
        assert execution.status == "SUCCEEDED", execution.cause
    email = json.loads(deployed.receivers.of(Channel.SNS)[-1]["Message"])["email"]
    assert "team/multi:v1 (linux/arm64)" in email
    assert "CVE-2026-31337" in email
    known: ImageRecords = image_records("LedgerTable")
    assert len(list(known.records_of("team/multi", digests))) == 1


def test_keeps_release_and_platform_of_an_image_that_is_still_scanned(deploy: Deploy) -> None:
    deployed = deploy({"repositories": [{"name": "team/multi", "images": []}]}, **AT_ONCE)
    event = case("05-multi-arch-children.json", of="notify")["events"][0] | {"region": REGION}
    digest = event["detail"]["image-digest"]
    at = datetime.fromisoformat(event["time"])
    deployed.clock.move(at - deployed.clock.now())
    push(deployed, "v1", [digest, DIGEST], HIGH)
    expiries = []
    for days in (0, 80, 100):
        deployed.clock.move(at + timedelta(days=days) - deployed.clock.now())
        deployed.notify(event | {"id": f"event-{days}", "time": deployed.clock.now().isoformat()})
        known = baselines("LedgerTable").recall("team/multi", digest, []).image.child
        assert known
        expiries.append((datetime.fromtimestamp(known.expires_at, UTC) - at).days)
    assert expiries == [180, 180, 280]
