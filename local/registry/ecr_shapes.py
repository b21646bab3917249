"""Contents of a registry in the shapes of ECR's responses and EventBridge's events."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.registry.registry_contents import (
    IMAGE_MANIFEST,
    Finding,
    Image,
    RegistrySettings,
    Repository,
    Scan,
    digest_of,
)

type Shape = dict[str, Any]


@dataclass(frozen=True)
class EcrShapes:
    """The shapes of one registry, with its account, Region and partition."""

    settings: RegistrySettings

    def repository(self, repository: Repository) -> Shape:
        """Return a repository as DescribeRepositories does."""
        suffix = ".cn" if self.settings.partition == "aws-cn" else ""
        host = f"{self.settings.account}.dkr.ecr.{self.settings.region}.amazonaws.com{suffix}"
        return {
            "repositoryArn": self._arn(repository.name),
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "repositoryUri": f"{host}/{repository.name}",
            "createdAt": repository.created_at,
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }

    def image(self, repository: Repository, image: Image, now: datetime) -> Shape:
        """Return an image as DescribeImages does: unknown fields are absent."""
        shape: Shape = {
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "imageDigest": image.digest,
            "imageTags": list(image.tags) or None,
            "imageSizeInBytes": image.size_in_bytes,
            "imagePushedAt": image.pushed_at,
            "imageManifestMediaType": image.manifest_media_type,
            "artifactMediaType": image.artifact_media_type,
            "lastRecordedPullTime": image.pulled_at,
            "subjectManifestDigest": image.subject_digest,
            "imageStatus": image_status(image),
            "lastArchivedAt": image.archived_at,
        }
        if image.last_scan is not None and self.settings.scan_hints:
            shape["imageScanStatus"] = scan_status(image.last_scan, now)
            if is_complete(image.last_scan, now):
                shape["imageScanFindingsSummary"] = findings_summary(image.last_scan)
        return {member: value for member, value in shape.items() if value is not None}

    def of_image(self, repository: Repository, image: Image, asked: Shape) -> Shape:
        """Return an image identifier, with the tag of the request."""
        tag = {"imageTag": asked["imageTag"]} if "imageTag" in asked else {}
        return {
            "registryId": self.settings.account,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest} | tag,
        }

    def scan_event(self, repository: str, image: Image, scan: Scan) -> Shape:
        """Return the event of a scan that has ended: severities without findings are absent.

        AWS documents COMPLETE, FAILED is seen in the field; UNSUPPORTED_IMAGE is inferred.
        """
        counts = scan.result.severity_counts
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "ECR Image Scan",
            "source": "aws.ecr",
            "account": self.settings.account,
            "time": scan.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.settings.region,
            "resources": [self._arn(repository)],
            "detail": {
                "scan-status": scan.result.status,
                "repository-name": repository,
                **({"finding-severity-counts": counts} if counts else {}),
                "image-digest": image.digest,
                "image-tags": list(image.tags),
            },
        }

    def image_events(
        self, repository: str, image: Image, action: str, now: datetime
    ) -> list[Shape]:
        """Return the events of a push or a deletion: one for each tag, or one without a tag.

        The schema of EventBridge names the media types as optional; that events of a push have
        them is inferred.
        """
        return [
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "ECR Image Action",
                "source": "aws.ecr",
                "account": self.settings.account,
                "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self.settings.region,
                "resources": [],
                "detail": {
                    "action-type": action,
                    "result": "SUCCESS",
                    "repository-name": repository,
                    "image-digest": image.digest,
                    "manifest-media-type": image.manifest_media_type,
                    **({"image-tag": tag} if tag else {}),
                },
            }
            for tag in image.tags or (None,)
        ]

    def _arn(self, repository: str) -> str:
        place = f"{self.settings.region}:{self.settings.account}"
        return f"arn:{self.settings.partition}:ecr:{place}:repository/{repository}"


def manifest(image: Image) -> str:
    """Write the manifest of an image; of an index, with an attestation as `docker buildx` adds."""
    if not image.lists:
        return json.dumps({"schemaVersion": 2, "mediaType": image.manifest_media_type})
    listed = [
        {
            "mediaType": IMAGE_MANIFEST,
            "digest": digest,
            "size": 1234,
            "platform": dict(
                zip(("os", "architecture", "variant"), platform.split("/"), strict=False)
            ),
        }
        for digest, platform in image.lists.items()
    ]
    attestation = {
        "mediaType": IMAGE_MANIFEST,
        "digest": digest_of(image.digest, "attestation"),
        "size": 1234,
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": image.manifest_media_type,
            "manifests": [*listed, attestation],
        }
    )


def image_status(image: Image) -> str:
    """Return whether an image is archived."""
    return "ACTIVE" if image.archived_at is None else "ARCHIVED"


def is_complete(scan: Scan, now: datetime) -> bool:
    """Return whether the scan is complete, so that its findings can be read."""
    return scan.ends_at <= now and scan.result.status == "COMPLETE"


def scan_status(scan: Scan, now: datetime) -> Shape:
    """Return the status of a scan."""
    if scan.result.status != "PENDING" and scan.ends_at > now:
        return {"status": "IN_PROGRESS"}
    return {"status": scan.result.status, "description": scan.result.description}


def findings_summary(scan: Scan) -> Shape:
    """Return the number of findings of a complete scan by severity."""
    return {
        "imageScanCompletedAt": scan.ends_at,
        "vulnerabilitySourceUpdatedAt": scan.ends_at,
        "findingSeverityCounts": scan.result.severity_counts,
    }


def finding(found: Finding) -> Shape:
    """Return a finding as DescribeImageScanFindings does."""
    return {
        "name": found.name,
        "description": f"{found.name} in {found.package} {found.version}",
        "uri": f"https://nvd.nist.gov/vuln/detail/{found.name}",
        "severity": found.severity,
        "attributes": [
            {"key": "package_name", "value": found.package},
            {"key": "package_version", "value": found.version},
        ],
    }
