"""Findings of an image, of basic and of enhanced scanning alike."""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.images import LastScan

# As ECR names them, the worst first.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")

type FindingKey = tuple[str, str]  # vulnerability and package, which identify a finding in an image


@dataclass(frozen=True)
class Finding:
    """One vulnerability in one package.

    name: as ECR has it, mostly a CVE.
    score: CVSS base score, of the newest version that ECR returns; 0 if it returns none.
    fixed_in: the version of the package that fixes it; empty if ECR names none.
    related: other names of the same vulnerability.
    is_suppressed: by a suppression rule of Amazon Inspector.
    has_exploit: Amazon Inspector knows of an exploit.
    """

    name: str
    severity: str
    package: str = ""
    version: str = ""
    uri: str = ""
    score: float = 0.0
    fixed_in: str = ""
    related: tuple[str, ...] = ()
    is_suppressed: bool = False
    has_exploit: bool = False

    @property
    def key(self) -> FindingKey:
        """Return what identifies the finding in its image; the version of a package does not."""
        return self.name, self.package


@dataclass(frozen=True)
class ScanFindings:
    """ECR's list of what the newest scan of an image found.

    status: as ECR has it: COMPLETE, or ACTIVE with enhanced scanning. With any other, the list says
        nothing about the image.
    scan_type: BASIC or ENHANCED, by the list that ECR returned.
    is_whole: whether these are all findings; MOST_FINDINGS of registry.ecr are read.
    scan: the scan itself; absent if ECR states no status and no time of it.
    """

    status: str
    scan_type: str = "BASIC"
    findings: tuple[Finding, ...] = ()
    is_whole: bool = True
    scan: LastScan | None = None


def severity_rank(severity: str) -> int:
    """Return the place of a severity, the worst first; one that AWS does not document is last."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def worst(findings: Iterable[Finding], most: int) -> tuple[Finding, ...]:
    """Return the worst findings: by severity, then score, then name."""
    return tuple(sorted(findings, key=_badness)[:most])


def _badness(finding: Finding) -> tuple[int, float, str, str]:
    return severity_rank(finding.severity), -finding.score, finding.name, finding.package
