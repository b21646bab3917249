"""Amazon Inspector in a simulated registry: enhanced findings, and the events about them.

Inspector scans an image when it is pushed, and again whenever it learns of a vulnerability. A
finding is one vulnerability in one image, with all packages that have it. There is one event per
finding that appears, changes, or is closed.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.registry.registry_contents import (
    Finding,
    Image,
    InspectorState,
    RegistrySettings,
    Repository,
    Scan,
)

type Shape = dict[str, Any]

MONITORED = ("ACTIVE", "Continuous scan is selected for image.")
EXPIRED = ("SCAN_ELIGIBILITY_EXPIRED", "The scan eligibility of the image has expired.")
IS_MONITORED = {"active": True, "expires": True, "expired": False, "returns": False}
NEXT: Mapping[str, InspectorState] = {"expires": "expired", "returns": "active"}
# Numbers that are made up: findings of a registry file have none.
SCORES = {"CRITICAL": 9.8, "HIGH": 7.8, "MEDIUM": 5.5, "LOW": 3.3}
COUNTED_IN_EVENTS = ("CRITICAL", "HIGH", "MEDIUM")
NO_FIX = "NotAvailable"
PLATFORM = "DEBIAN_12"


@dataclass(frozen=True)
class Inspector:
    """Amazon Inspector in one account and Region."""

    settings: RegistrySettings

    def inspect(self, repository: Repository, image: Image, now: datetime) -> list[Shape]:
        """Let Inspector find what an image has now, and return its events.

        An image whose monitoring expires has no findings any more: all are closed.
        """
        before = self.findings(image, image.last_scan) if image.last_scan else {}
        image.inspector = NEXT.get(image.inspector or "", image.inspector)
        is_first, image.last_scan = image.last_scan is None, Scan(now, now, image.next_result)
        after = self.findings(image, image.last_scan)
        events = [self._scan_event(repository, image, after)] if is_first else []
        for name, status, found in _differences(before, after):
            events.append(self._finding_event(repository, image, name, status, found))
        return events

    def summary(self, image: Image, scan: Scan) -> Shape:
        """Return what DescribeImageScanFindings says of all findings of an image."""
        return {
            "imageScanCompletedAt": scan.ends_at,
            "vulnerabilitySourceUpdatedAt": scan.ends_at,
            "findingSeverityCounts": dict(_counts(self.findings(image, scan).values())),
        }

    @staticmethod
    def findings(image: Image, scan: Scan) -> dict[str, tuple[Finding, ...]]:
        """Return the findings that are open, by vulnerability: one in each package."""
        return _by_name(scan) if IS_MONITORED[image.inspector or "active"] else {}

    @staticmethod
    def status(image: Image) -> Shape:
        """Return the status of an image that Inspector has scanned."""
        is_monitored = IS_MONITORED[image.inspector or "active"]
        status, description = MONITORED if is_monitored else EXPIRED
        return {"status": status, "description": description}

    def finding(self, repository: Repository, image: Image, found: tuple[Finding, ...]) -> Shape:
        """Return a finding as DescribeImageScanFindings does."""
        scan = image.last_scan
        seen_at = scan.ends_at if scan else image.pushed_at
        container = self._container(repository, image) | {"pushedAt": image.pushed_at}
        return self._finding(repository, image, found[0].name, "ACTIVE", found) | {
            "firstObservedAt": seen_at,
            "lastObservedAt": seen_at,
            "updatedAt": seen_at,
            "score": SCORES.get(found[0].severity, 0.0),
            "resources": [self._resource(repository, image, container)],
        }

    def _finding_event(
        self,
        repository: Repository,
        image: Image,
        name: str,
        status: str,
        found: tuple[Finding, ...],
    ) -> Shape:
        scan = image.last_scan
        seen_at = _as_inspector_writes(scan.ends_at if scan else image.pushed_at)
        container = self._container(repository, image)
        container |= {"pushedAt": _as_inspector_writes(image.pushed_at)}
        detail = self._finding(repository, image, name, status, found) | {
            "firstObservedAt": seen_at,
            "lastObservedAt": seen_at,
            "updatedAt": seen_at,
            "inspectorScore": SCORES.get(found[0].severity, 0.0),
            "resources": [self._resource(repository, image, container)],
        }
        return self._event("Inspector2 Finding", self._id(repository, image), detail, image)

    def _scan_event(
        self, repository: Repository, image: Image, found: Mapping[str, tuple[Finding, ...]]
    ) -> Shape:
        counts = _counts(found.values())
        arn = self._arn(repository)
        detail = {
            "scan-status": "INITIAL_SCAN_COMPLETE",
            "repository-name": arn,
            "finding-severity-counts": {
                **{severity: counts[severity] for severity in COUNTED_IN_EVENTS},
                "TOTAL": counts.total(),
            },
            "image-digest": image.digest,
            "image-tags": list(image.tags),
            "version": "1.0",
        }
        return self._event("Inspector2 Scan", arn, detail, image)

    def _event(self, detail_type: str, resource: str, detail: Shape, image: Image) -> Shape:
        time = image.last_scan.ends_at if image.last_scan else image.pushed_at
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": "aws.inspector2",
            "account": self.settings.account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.settings.region,
            "resources": [resource],
            "detail": detail,
        }

    def _finding(
        self,
        repository: Repository,
        image: Image,
        name: str,
        status: str,
        found: tuple[Finding, ...],
    ) -> Shape:
        """Return what a finding has in an answer and in an event alike."""
        packages = ", ".join(sorted({each.package for each in found}))
        fixed = {bool(each.fixed_in) for each in found}
        key = hashlib.sha256(f"{repository.name}@{image.digest}#{name}".encode()).hexdigest()[:32]
        place = f"{self.settings.region}:{self.settings.account}"
        return {
            "awsAccountId": self.settings.account,
            "findingArn": f"arn:{self.settings.partition}:inspector2:{place}:finding/{key}",
            "title": f"{name} - {packages}",
            "description": f"{name} in {packages}",
            "type": "PACKAGE_VULNERABILITY",
            "status": status,
            "severity": found[0].severity,
            "exploitAvailable": "NO",
            "fixAvailable": "PARTIAL" if len(fixed) > 1 else "YES" if True in fixed else "NO",
            "packageVulnerabilityDetails": {
                "vulnerabilityId": name,
                "source": "NVD",
                "sourceUrl": f"https://nvd.nist.gov/vuln/detail/{name}",
                "vendorSeverity": found[0].severity.capitalize(),
                "relatedVulnerabilities": [],
                "referenceUrls": [],
                "cvss": [],
                "vulnerablePackages": [
                    {
                        "arch": "X86_64",
                        "epoch": 0,
                        "name": each.package,
                        "packageManager": "OS",
                        "version": each.version,
                        "fixedInVersion": each.fixed_in or NO_FIX,
                    }
                    for each in found
                ],
            },
            "remediation": {"recommendation": {"text": "None Provided"}},
        }

    def _resource(self, repository: Repository, image: Image, container: Shape) -> Shape:
        return {
            "type": "AWS_ECR_CONTAINER_IMAGE",
            "id": self._id(repository, image),
            "tags": {},
            "details": {"awsEcrContainerImage": container},
        }

    def _container(self, repository: Repository, image: Image) -> Shape:
        return {
            "architecture": "amd64",
            "imageHash": image.digest,
            "imageTags": list(image.tags),
            "platform": PLATFORM,
            "registry": self.settings.account,
            "repositoryName": repository.name,
        }

    def _id(self, repository: Repository, image: Image) -> str:
        return f"{self._arn(repository)}/{image.digest}"

    def _arn(self, repository: Repository) -> str:
        place = f"{self.settings.region}:{self.settings.account}"
        return f"arn:{self.settings.partition}:ecr:{place}:repository/{repository.name}"


def _by_name(scan: Scan) -> dict[str, tuple[Finding, ...]]:
    """Group the findings of a scan by vulnerability."""
    found: dict[str, tuple[Finding, ...]] = {}
    for each in scan.result.findings:
        found[each.name] = (*found.get(each.name, ()), each)
    return found


def _counts(found: Iterable[tuple[Finding, ...]]) -> Counter[str]:
    return Counter(each[0].severity for each in found)


def _differences(
    before: Mapping[str, tuple[Finding, ...]], after: Mapping[str, tuple[Finding, ...]]
) -> Iterator[tuple[str, str, tuple[Finding, ...]]]:
    """Return each vulnerability that appears, changes or is gone, with its finding's status."""
    for name, found in after.items():
        if before.get(name) != found:
            yield name, "ACTIVE", found
    for name, found in before.items():
        if name not in after:
            yield name, "CLOSED", found


def _as_inspector_writes(time: datetime) -> str:
    """Write a time as the events do: Mar 14, 2026, 3:05:40 AM."""
    return f"{time:%b} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S %p}"
