"""The findings of a report by vulnerability: how widespread, since when, and who was notified."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Self

from cli.report.document import Acceptance, Report, ReportedFinding, ReportedImage
from cli.report.totals import open_findings
from cli.report.wording import link_of


@dataclass(frozen=True)
class Since:
    """A day, and how many days ago it was. is_later: it may have been earlier."""

    day: date
    days: int
    is_later: bool = False

    @classmethod
    def of(cls, finding: ReportedFinding, now: datetime) -> Self:
        """Return when a finding was first seen."""
        days = max((now.date() - finding.first_seen).days, 0)
        return cls(finding.first_seen, days, finding.is_seen_later)

    def order(self) -> tuple[date, bool]:
        """Return what the earliest one is the least of."""
        return self.day, not self.is_later

    def __str__(self) -> str:
        """Return it as it follows a noun: "since …"."""
        return f"on or before {self.day}" if self.is_later else f"since {self.day}"


@dataclass(frozen=True)
class FirstNotified:
    """When the first of these channels was notified. is_later: it may have been earlier."""

    at: datetime
    is_later: bool
    channels: tuple[str, ...]

    @classmethod
    def of(cls, findings: Iterable[ReportedFinding]) -> Self | None:
        """Return when a channel was first notified of one of these findings."""
        first: dict[str, datetime] = {}
        is_later = False
        for finding in findings:
            is_later |= bool(finding.notified_before)
            for name, at in finding.notified.items():
                first[name] = min(at, first.get(name, at))
        return cls(min(first.values()), is_later, tuple(sorted(first))) if first else None

    @classmethod
    def of_image(cls, image: ReportedImage, severity: str) -> Self | None:
        """Return when a channel was first notified of an open finding of a severity.

        If the findings are not known by name, what is known of the image counts.
        """
        if image.is_named:
            return cls.of(open_findings(image, severity))
        first = {name: each.first for name, each in image.notified.items()}
        return cls(min(first.values()), True, tuple(sorted(first))) if first else None


@dataclass
class Vulnerability:
    """An open vulnerability in one package, in all images that have it.

    findings: one per image. not_notified: images of which no channel was notified.
    has_details: ECR was asked for those of one of the images.
    """

    name: str
    package: str
    link: str
    since: Since
    images: int = 0
    not_notified: int = 0
    has_details: bool = False
    is_exploited: bool = False
    repositories: Counter[str] = field(default_factory=Counter)
    fixed_in: set[str] = field(default_factory=set)
    findings: list[ReportedFinding] = field(default_factory=list)

    def add(self, image: ReportedImage, finding: ReportedFinding, now: datetime) -> None:
        """Add an image that has it."""
        self.images += 1
        self.repositories[image.repository] += 1
        self.since = min(self.since, Since.of(finding, now), key=Since.order)
        self.not_notified += not finding.notified
        self.findings.append(finding)
        if finding.details:
            self.has_details = True
            self.is_exploited |= finding.details.is_exploited
            self.fixed_in |= {finding.details.fixed_in} - {""}

    def first_notified(self) -> FirstNotified | None:
        """Return when a channel was first notified of it."""
        return FirstNotified.of(self.findings)

    def where(self) -> str:
        """Return the repositories with the most of these images."""
        first = [name for name, _ in self.repositories.most_common(2)]
        more = len(self.repositories) - len(first)
        return ", ".join(first) + (f" and {more:,} more" if more else "")


@dataclass
class AcceptedRisk:
    """An accepted vulnerability, in all images where the same entry accepts it."""

    name: str
    package: str
    link: str
    acceptance: Acceptance
    images: int = 0


def vulnerabilities(report: Report, severity: str) -> list[Vulnerability]:
    """Return the open vulnerabilities of a severity, the most widespread first."""
    found: dict[tuple[str, str], Vulnerability] = {}
    for image in report.images:
        for finding in open_findings(image, severity):
            key = finding.name, finding.package
            if key not in found:
                since = Since.of(finding, report.made_at)
                found[key] = Vulnerability(*key, link_of(finding), since)
            found[key].add(image, finding, report.made_at)
    return sorted(found.values(), key=lambda each: (-each.images, each.since.day, each.name))


def accepted_risks(images: Iterable[ReportedImage]) -> list[AcceptedRisk]:
    """Return the accepted vulnerabilities, the first to end first."""
    found: dict[tuple[str, str, Acceptance], AcceptedRisk] = {}
    for image in images:
        for each in image.findings:
            if each.accepted:
                key = each.name, each.package, each.accepted
                if key not in found:
                    found[key] = AcceptedRisk(each.name, each.package, link_of(each), each.accepted)
                found[key].images += 1
    return sorted(found.values(), key=lambda each: (each.acceptance.until or date.max, each.name))
