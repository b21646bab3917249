"""Reports of registries that do not exist: the same for the same number of images and seed."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from cli.report.document import (
    Acceptance,
    Details,
    Freshness,
    Notified,
    Report,
    ReportedFinding,
    ReportedImage,
    ReportedRun,
    Totals,
)
from cli.report.totals import histogram_of, totals_of, worst_first
from registry.findings import SEVERITIES as ALL
from rescan_registry.policy import RescanPolicy
from tests.support.clock import NOW

RESCAN_AFTER, INTERVAL = timedelta(days=7), timedelta(days=1)
MADE_AT = NOW + timedelta(hours=3, minutes=14)  # three hours after the last run
POLICY = RescanPolicy(RESCAN_AFTER, INTERVAL, timedelta(days=30), NOW, 20_000)
SEVERITIES = ALL[:4]  # of findings that are made up
# The more often a repository is named, the more images it has.
REPOSITORIES = (
    *("payments/ledger",) * 6,
    *("payments/api", "shop/web", "data/etl") * 3,
    *("payments/worker", "shop/checkout", "shop/cart", "shop/search", "team/api") * 2,
    *("team/auth", "team/gateway", "data/jupyter", "data/airflow", "data/warehouse-sync"),
    *("ml/inference", "ml/training", "base/python", "base/node", "base/java", "edge/proxy"),
    *("platform/ingress", "platform/cert-manager", "platform/metrics", "mobile/push"),
    *("legacy/erp-bridge", "legacy/print-server", "internal/wiki", "charts/shop"),
)
PACKAGES = (
    *("openssl", "glibc", "zlib", "libxml2", "curl", "xz-utils", "expat", "sqlite3", "perl"),
    *("python3.11", "krb5", "nghttp2", "libtiff", "busybox", "log4j-core", "jackson-databind"),
)
NOT_SCANNABLE = (
    ("UNSUPPORTED", "ECR supports no operating system or package in it"),
    ("UNSCANNABLE", "image index"),
    ("UNSCANNABLE", "signature or attestation"),
    ("EXCLUDED", "every tag matches ExcludeTagPattern"),
    ("ARCHIVED", "archived in ECR"),
)
ACCEPTANCE = Acceptance(
    date(2026, 12, 31), "k.meyer", "not reachable: the parser is never called with foreign input"
)


@dataclass(frozen=True)
class Vulnerability:
    """A vulnerability that does not exist."""

    name: str
    package: str
    severity: str
    published: date
    acceptance: Acceptance | None
    details: Details


def report(images: int = 600, seed: int = 7, *, days: int = 30) -> Report:
    """Return the report of a registry. images: how many it has. days: of one run each."""
    chance = random.Random(seed)
    vulnerabilities = _vulnerabilities(chance)
    made = [_image(chance, number, vulnerabilities) for number in range(images)]
    return report_of(made, _runs(chance, made, days))


def report_of(images: Sequence[ReportedImage], runs: tuple[ReportedRun, ...] = ()) -> Report:
    """Return a report about these images."""
    ordered = worst_first(images)
    return Report(
        stack="ecr-rescan",
        account="111122223333",
        region="eu-central-1",
        made_at=MADE_AT,
        version="0.4.0",
        scan_type="BASIC",
        rescan_after=RESCAN_AFTER,
        interval=INTERVAL,
        lowest="LOW",
        as_of_run=None,
        totals=_totals(ordered),
        histogram=histogram_of(ordered, POLICY, MADE_AT),
        images=ordered,
        runs=runs,
        subscribers={"email": 4, "https": 1},
        read_units=len(images) * 0.85,
    )


def _totals(images: Sequence[ReportedImage]) -> Totals:
    return totals_of(images, len({image.repository for image in images}))


def _vulnerabilities(chance: random.Random) -> list[Vulnerability]:
    return [
        Vulnerability(
            f"CVE-{chance.choice((2024, 2025))}-{90_000 + number}",
            chance.choice(PACKAGES),
            severity := chance.choices(SEVERITIES, (4, 20, 40, 36))[0],
            NOW.date() - timedelta(days=chance.randrange(3, 160)),
            ACCEPTANCE if chance.random() < 0.03 else None,
            Details(
                fixed_in="1.2.4-r1" if chance.random() < 0.7 else "",
                score={"CRITICAL": "9.8 (3.1)", "HIGH": "8.1 (3.1)"}.get(severity, "5.3 (3.1)"),
                is_exploited=severity == "CRITICAL" and chance.random() < 0.4,
            ),
        )
        for number in range(220)
    ]


def _image(
    chance: random.Random, number: int, vulnerabilities: Sequence[Vulnerability]
) -> ReportedImage:
    repository = chance.choice(REPOSITORIES)
    image_digest = f"sha256:{chance.getrandbits(256):064x}"
    pushed_at = MADE_AT - timedelta(days=chance.expovariate(1 / 60), hours=chance.random() * 24)
    tags = [f"r{1_200 + number}"] if chance.random() < 0.88 else []
    tags += [tag for tag in ("latest", "prod") if tags and chance.random() < 0.07]
    dice = chance.random()
    if repository.startswith("charts/") or dice < 0.11:
        outcome, reason = (
            ("UNSCANNABLE", "Helm chart")
            if repository.startswith("charts/")
            else chance.choices(NOT_SCANNABLE, (8, 10, 5, 3, 1))[0]
        )
        return ReportedImage(
            repository,
            image_digest,
            Freshness.NONE,
            tuple(tags),
            pushed_at=pushed_at,
            outcome=outcome,
            reason=reason,
        )
    if dice < 0.117:
        return ReportedImage(
            repository,
            image_digest,
            Freshness.WAITING,
            tuple(tags),
            pushed_at=MADE_AT - timedelta(hours=chance.random() * 20),
            outcome="DEFERRED",
            reason="ECR throttles",
        )
    freshness, age, outcome, reason = _scan(chance, dice)
    pushed_at = min(pushed_at, MADE_AT - age - timedelta(minutes=5))
    findings = _findings(chance, repository, pushed_at, vulnerabilities)
    channels = _channels(chance, findings)
    return ReportedImage(
        repository,
        image_digest,
        freshness,
        tuple(tags),
        platform="linux/arm64" if chance.random() < 0.2 else "linux/amd64",
        pushed_at=pushed_at,
        pulled_at=MADE_AT - timedelta(hours=chance.random() * 200),
        scanned_at=MADE_AT - age,
        age_hours=age / timedelta(hours=1),
        scan_type="BASIC",
        status="COMPLETE",
        outcome=outcome,
        reason=reason,
        counts=_counted(findings),
        accepted_counts=_counted([each for each in findings if each.accepted]),
        is_named=True,
        findings=tuple(findings),
        notified={
            name: Notified(at, at + timedelta(days=chance.randrange(3)))
            for name, at in channels.items()
        },
        has_incident="PAGERDUTY" in channels,
    )


def _scan(chance: random.Random, dice: float) -> tuple[Freshness, timedelta, str, str]:
    if dice > 0.988:
        age = timedelta(days=9 + chance.random() * 5)
        return Freshness.OVERDUE, age, "FAILED", "AccessDeniedException"
    if dice > 0.975:
        age = timedelta(days=7 + chance.random() * 2)
        return Freshness.DUE, age, "DEFERRED", "registry scan quota"
    age = timedelta(days=min(6.9, max(0.05, chance.gauss(3.2, 1.9))))
    is_new = age < timedelta(hours=5)
    return Freshness.INSIDE, age, "STARTED" if is_new else "FRESH", ""


def _findings(
    chance: random.Random,
    repository: str,
    pushed_at: datetime,
    vulnerabilities: Sequence[Vulnerability],
) -> list[ReportedFinding]:
    if chance.random() < 0.4:
        return []
    most = 12 if repository.startswith(("legacy/", "data/")) else 5
    some = chance.sample(vulnerabilities, min(60, int(chance.expovariate(1 / most))))
    silent = chance.random() < 0.05
    findings = [
        ReportedFinding(
            each.name,
            each.package,
            "1.2.3-r0",
            each.severity,
            first_seen := max(pushed_at.date(), each.published),
            first_seen < MADE_AT.date() - timedelta(days=120),
            each.acceptance,
            {} if silent else _notified(each, first_seen),
            details=each.details,
        )
        for each in some
    ]
    return sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.name))


def _notified(vulnerability: Vulnerability, first_seen: date) -> Mapping[str, datetime]:
    at = datetime(first_seen.year, first_seen.month, first_seen.day, 3, 4, tzinfo=MADE_AT.tzinfo)
    return {
        "CRITICAL": {"SLACK": at, "SNS": at, "PAGERDUTY": at},
        "HIGH": {"SLACK": at, "SNS": at},
    }.get(vulnerability.severity, {})


def _channels(chance: random.Random, findings: Sequence[ReportedFinding]) -> dict[str, datetime]:
    """Return when each channel was first notified of any of the findings."""
    first: dict[str, datetime] = {}
    for finding in findings:
        for name, at in finding.notified.items():
            first[name] = min(at, first.get(name, at))
    return first


def _counted(findings: Sequence[ReportedFinding]) -> dict[str, int]:
    counted = Counter(each.severity for each in findings)
    return {name: counted[name] for name in ALL if counted[name]}


def _runs(
    chance: random.Random, images: Sequence[ReportedImage], days: int
) -> tuple[ReportedRun, ...]:
    """Return a run for each of the last days, newest first; the last one is of these images."""
    totals = _totals(images)
    repositories = totals.repositories
    with_any: defaultdict[str, float] = defaultdict(float, totals.images_with)
    runs = []
    for back in range(days):
        started_at = NOW - back * INTERVAL
        is_failed = back in {9, 10}
        started = chance.randrange(len(images) // 9 + 1, len(images) // 6 + 2)
        runs.append(
            ReportedRun(
                run=f"{started_at:%Y-%m-%dT%H%M%SZ}",
                status="FAILED" if is_failed else "FINISHED",
                is_dry_run=False,
                started_at=started_at,
                ended_at=started_at + timedelta(minutes=chance.randrange(14, 24)),
                repositories=repositories,
                repositories_not_done=min(2, repositories) if is_failed else 0,
                outcomes={"STARTED": started, "FRESH": totals.scannable - started},
                scannable=totals.scannable,
                overdue=totals.overdue + (chance.randrange(4, 9) if 7 < back < 13 else 0),
                oldest_hours=totals.oldest_hours,
                images_with={name: round(count) for name, count in with_any.items()},
                findings={name: round(3 * count) for name, count in with_any.items()},
            )
        )
        for name in with_any:
            with_any[name] *= 1 + chance.gauss(0.012, 0.03)
    return tuple(runs)


def finding(name: str = "CVE-2026-31337", **changes: Any) -> ReportedFinding:
    """Return a critical finding without a notification."""
    plain = ReportedFinding(name, "openssl", "3.0.11-1", "CRITICAL", NOW.date())
    return replace(plain, **changes)


def image(*findings: ReportedFinding, **changes: Any) -> ReportedImage:
    """Return an image with these findings, scanned a day ago."""
    plain = ReportedImage(
        "team/api",
        f"sha256:{'9b2e77c0' * 8}",
        Freshness.INSIDE,
        ("v1",),
        scanned_at=NOW - timedelta(days=1),
        age_hours=24.0,
        counts=_counted(findings),
        accepted_counts=_counted([each for each in findings if each.accepted]),
        is_named=True,
        findings=findings,
    )
    return replace(plain, **changes)
