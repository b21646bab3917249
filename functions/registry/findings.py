"""Findings of a basic scan."""

from collections.abc import Iterable
from dataclasses import dataclass

# As ECR names them, the worst first.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")


@dataclass(frozen=True)
class Finding:
    """One vulnerability in one package.

    name: as ECR has it, mostly a CVE.
    score: CVSS base score, of the newest version that ECR returns; 0 if it returns none.
    """

    name: str
    severity: str
    package: str = ""
    version: str = ""
    uri: str = ""
    score: float = 0.0


def worst(findings: Iterable[Finding], most: int) -> tuple[Finding, ...]:
    """Return the worst findings: by severity, then score, then name."""
    return tuple(sorted(findings, key=_badness)[:most])


def _badness(finding: Finding) -> tuple[int, float, str, str]:
    known = finding.severity in SEVERITIES
    rank = SEVERITIES.index(finding.severity) if known else len(SEVERITIES)
    return rank, -finding.score, finding.name, finding.package
