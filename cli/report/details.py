"""What only ECR knows of findings: the version that fixes them, CVSS scores, and exploits."""

from collections.abc import Collection
from dataclasses import replace

from cli.aws_errors import command_error
from cli.report.document import Details, ReportedImage
from cli.stack import Stack
from ledger.boards import Boards
from ledger.table import Table
from registry.ecr import EcrRegistry
from registry.errors import (
    AccessDenied,
    EcrError,
    EcrThrottled,
    EcrUnavailable,
    ImageNotFound,
    RepositoryNotFound,
    ScanNotFound,
)
from registry.findings import Finding, FindingKey
from reporting.text import visible
from rescan_registry.pacing import Operation
from runtime import clock

UNLEARNT = 2.0  # calls per second, where no run has learnt how many ECR accepts
_SHARE = 0.5  # of the rate that runs have learnt: they go first
_GONE = (ImageNotFound, RepositoryNotFound, ScanNotFound)
_REFUSALS = (AccessDenied, EcrError, EcrThrottled, EcrUnavailable)


def calls_per_second(stack: Stack) -> float:
    """Return how fast to ask ECR, by what the runs of the stack have learnt."""
    table = Table(stack.client("dynamodb"), stack.output("LedgerTableName"))
    board = Boards(table).read(Operation.DESCRIBE_IMAGE_SCAN_FINDINGS)
    return board.rate * _SHARE if board and board.is_learnt else UNLEARNT


def with_details(
    images: Collection[ReportedImage], registry: EcrRegistry, per_second: float
) -> tuple[tuple[ReportedImage, ...], tuple[str, ...]]:
    """Return images with the details of their findings, and what is missing, in sentences."""
    detailed: list[ReportedImage] = []
    missing: list[str] = []
    for number, image in enumerate(images):
        if number:
            clock.sleep(1 / per_second)
        try:
            found = registry.findings(image.repository, image.image_digest)
            detailed.append(_detailed(image, {each.key: each for each in found.findings}))
        except _GONE:
            detailed.append(image)
        except _REFUSALS as error:
            detailed.append(image)
            name = visible(f"{image.repository}@{image.image_digest}")
            missing.append(f"The details of {name} are missing: {command_error(error)}")
    return tuple(detailed), tuple(missing)


def _detailed(image: ReportedImage, found: dict[FindingKey, Finding]) -> ReportedImage:
    findings = (
        replace(
            finding,
            version=listed.version or finding.version,
            details=Details(
                link=listed.uri,
                fixed_in=listed.fixed_in,
                score=f"{listed.score:.1f}" if listed.score else "",
                is_exploited=listed.has_exploit,
            ),
        )
        if (listed := found.get((finding.name, finding.package)))
        else finding
        for finding in image.findings
    )
    return replace(image, findings=tuple(findings))
