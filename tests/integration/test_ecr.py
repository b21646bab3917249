"""The adapter to ECR on a real boto3 client: what AWS would answer, and how often it is asked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from local.registry.botocore_face import attach
from local.registry.ecr_errors import EcrError
from local.registry.registry_contents import digest_of
from local.registry.registry_file import parse
from local.registry.simulated_registry import SimulatedRegistry
from registry import errors
from registry.ecr import CLIENT_CONFIG, CONNECTIONS, MOST_FINDINGS, EcrRegistry, ecr_registry
from registry.findings import Finding, ScanFindings
from registry.images import Image, LastScan
from registry.manifests import UnreadableIndex
from tests.support.clock import NOW
from tests.support.template import REGION

DIGEST = digest_of("team/api", "v1")
ONE_IMAGE = "repositories: [{name: team/api, images: [{tags: v1}]}]"
RATE = "Rate exceeded"


def simulated(file: str = ONE_IMAGE) -> SimulatedRegistry:
    return parse(file, now=lambda: NOW)


def ecr_client() -> Any:
    return boto3.client(
        "ecr",
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=CLIENT_CONFIG,
    )


def ecr(registry: SimulatedRegistry) -> EcrRegistry:
    client = ecr_client()
    attach(client, registry)
    return EcrRegistry(client)


class Answering(SimulatedRegistry):
    """A registry that answers every call alike."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.attempts = 0
        self._error = error

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.attempts += 1
        raise self._error


CALLS: dict[str, Callable[[EcrRegistry], object]] = {
    f"BatchGetImage of team/api@{DIGEST}": lambda registry: registry.platforms("team/api", DIGEST),
    "GetRegistryScanningConfiguration of the registry": EcrRegistry.scan_type,
    "DescribeRepositories of the registry": lambda registry: registry.repositories(),
    "DescribeRepositories of team/api, team/web": lambda registry: registry.confirm(
        ["team/api", "team/web"]
    ),
    "DescribeImages of team/api": lambda registry: registry.images("team/api"),
    f"DescribeImageScanFindings of team/api@{DIGEST}": lambda registry: registry.last_scan(
        "team/api", DIGEST
    ),
    f"StartImageScan of team/api@{DIGEST}": lambda registry: registry.start_scan(
        "team/api", DIGEST
    ),
}


# What the registry holds


@pytest.mark.parametrize("scan_type", ["BASIC", "ENHANCED"])
def test_tells_how_the_registry_scans(scan_type: str) -> None:
    registry = simulated(f"scanning: {scan_type}\nrepositories: []")
    assert ecr(registry).scan_type() == scan_type


def test_lists_repositories_a_thousand_a_call() -> None:
    registry = simulated("repositories: [{name: 'team/{n}', count: 2100}]")
    names, cursor = list[str](), None
    while True:
        page = ecr(registry).repositories(cursor)
        names += page.names
        if not (cursor := page.cursor):
            break
    assert sorted(names) == sorted(f"team/{n}" for n in range(1, 2_101))
    assert registry.calls == {"DescribeRepositories": 3}


def test_confirms_names_a_hundred_a_call() -> None:
    registry = simulated("repositories: [{name: 'team/{n}', count: 250}]")
    ecr(registry).confirm([f"team/{n}" for n in range(1, 251)])
    assert registry.calls == {"DescribeRepositories": 3}


def test_names_the_repository_that_is_not_there() -> None:
    with pytest.raises(errors.RepositoryNotFound, match="'team/web' does not exist"):
        ecr(simulated()).confirm(["team/api", "team/web"])


def test_lists_images_a_thousand_a_call() -> None:
    registry = simulated("repositories: [{name: team/api, images: [{tags: 'v{n}', count: 2345}]}]")
    adapter = ecr(registry)
    pages = [adapter.images("team/api")]
    while pages[-1].cursor:
        pages.append(adapter.images("team/api", pages[-1].cursor))
    assert [len(page.images) for page in pages] == [1_000, 1_000, 345]
    assert len({image.digest for page in pages for image in page.images}) == 2_345
    assert registry.calls == {"DescribeImages": 3}


def test_reads_all_that_the_listing_shows_of_an_image() -> None:
    file = "repositories: [{name: team/api, images: [{tags: [v1, v2], pushed: 9d, pulled: 2d}]}]"
    assert ecr(simulated(file)).images("team/api").images == (
        Image(
            digest=DIGEST,
            pushed_at=NOW - timedelta(days=9),
            tags=("v1", "v2"),
            pulled_at=NOW - timedelta(days=2),
            media_type="application/vnd.oci.image.manifest.v1+json",
            artifact_type="application/vnd.oci.image.config.v1+json",
        ),
    )


def test_lists_archived_images_and_referrers_too() -> None:
    file = """
repositories:
  - name: team/api
    images: [{tags: v1, attested: true}, {tags: old, archived: 9d}]
"""
    images = {image.digest: image for image in ecr(simulated(file)).images("team/api").images}
    assert images.pop(DIGEST).subject is None
    assert images.pop(digest_of("team/api", "old")).status == "ARCHIVED"
    (attestation,) = images.values()
    assert (attestation.subject, attestation.tags) == (DIGEST, ())


@pytest.mark.parametrize(
    ("hints", "hint"), [(True, LastScan("COMPLETE", NOW - timedelta(days=3))), (False, None)]
)
def test_reads_the_scan_that_the_listing_happens_to_show(
    hints: bool, hint: LastScan | None
) -> None:
    file = f"""
scan_hints: {str(hints).lower()}
repositories: [{{name: team/api, images: [{{tags: v1, scanned: 3d}}]}}]
"""
    (image,) = ecr(simulated(file)).images("team/api").images
    assert image.last_scan == hint


class Listing(SimulatedRegistry):
    """A registry of one image, listed as is given."""

    def __init__(self, **detail: object) -> None:
        super().__init__()
        self._detail = {"imageDigest": DIGEST, "imagePushedAt": NOW, **detail}

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return {"imageDetails": [self._detail]}


@pytest.mark.parametrize(
    ("shown", "hint"),
    [
        ({"imageScanStatus": {"status": "IN_PROGRESS"}}, None),
        ({"imageScanFindingsSummary": {"vulnerabilitySourceUpdatedAt": NOW}}, None),
        (
            {"imageScanFindingsSummary": {"imageScanCompletedAt": NOW}},
            LastScan("COMPLETE", NOW),
        ),
        (
            {
                "imageScanStatus": {"status": "FAILED"},
                "imageScanFindingsSummary": {"imageScanCompletedAt": NOW},
            },
            LastScan("FAILED", NOW),
        ),
    ],
)
def test_takes_for_a_hint_only_a_scan_with_a_date(
    shown: dict[str, object], hint: LastScan | None
) -> None:
    (image,) = ecr(Listing(**shown)).images("team/api").images
    assert image == Image(digest=DIGEST, pushed_at=NOW, last_scan=hint)


@pytest.mark.parametrize(
    ("image", "last_scan"),
    [
        (
            "scanned: 10d, findings: {high: 200}",
            LastScan(
                "COMPLETE",
                NOW - timedelta(days=10),
                "The scan was completed successfully.",
                {"HIGH": 200},
            ),
        ),
        (
            "scanned: 10d, last_result: failed, reason: It broke.",
            LastScan("FAILED", None, "It broke."),
        ),
        ("scanned: never", None),
    ],
)
def test_tells_the_newest_scan_of_an_image(image: str, last_scan: LastScan | None) -> None:
    registry = simulated(f"repositories: [{{name: team/api, images: [{{tags: v1, {image}}}]}}]")
    assert ecr(registry).last_scan("team/api", DIGEST) == last_scan
    assert registry.calls == {"DescribeImageScanFindings": 1}


def test_asks_for_no_more_findings_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = simulated("repositories: [{name: team/api, images: [{tags: v1, scanned: 1d}]}]")
    requests: list[dict[str, Any]] = []
    answer = registry.call
    monkeypatch.setattr(
        registry,
        "call",
        lambda operation, request: requests.append(request) or answer(operation, request),
    )
    ecr(registry).last_scan("team/api", DIGEST)
    (request,) = requests
    assert request["maxResults"] == 1


def test_reads_times_with_their_zone() -> None:
    registry = simulated("repositories: [{name: team/api, images: [{tags: v1, scanned: 1d}]}]")
    adapter = ecr(registry)
    last_scan = adapter.last_scan("team/api", DIGEST)
    assert last_scan
    assert last_scan.completed_at
    (image,) = adapter.images("team/api").images
    for time in (last_scan.completed_at, image.pushed_at):
        assert time.utcoffset() is not None
        assert time > datetime(2026, 1, 1, tzinfo=UTC)


def test_starts_a_scan() -> None:
    registry = simulated()
    adapter = ecr(registry)
    adapter.start_scan("team/api", DIGEST)
    assert registry.started == {("team/api", DIGEST): 1}
    assert adapter.last_scan("team/api", DIGEST) == LastScan("IN_PROGRESS")


# What ECR refuses


@pytest.mark.parametrize(
    ("code", "message", "status", "name"),
    [
        ("ThrottlingException", RATE, 400, errors.EcrThrottled),
        ("ThrottleException", RATE, 400, errors.EcrThrottled),
        ("TooManyRequestsException", RATE, 429, errors.EcrThrottled),
        ("RequestLimitExceeded", RATE, 503, errors.EcrThrottled),
        ("SomethingNew", RATE, 429, errors.EcrThrottled),
        ("ServerException", "any", 500, errors.EcrUnavailable),
        ("SomethingNew", "any", 500, errors.EcrUnavailable),
        ("ServiceUnavailable", "any", 503, errors.EcrUnavailable),
        ("AccessDeniedException", "any", 400, errors.AccessDenied),
        ("RepositoryNotFoundException", "any", 400, errors.RepositoryNotFound),
        ("ImageNotFoundException", "any", 400, errors.ImageNotFound),
        ("ImageArchivedException", "any", 400, errors.ImageArchived),
        ("UnsupportedImageTypeException", "any", 400, errors.ImageNotScannable),
        ("ValidationException", "This feature is disabled", 400, errors.ManualScanningDisabled),
        (
            "LimitExceededException",
            "The scan quota per image has been exceeded. Wait and try again.",
            400,
            errors.ImageScannedRecently,
        ),
        (
            "LimitExceededException",
            "The quota of 100000 basic image scans per 24 hours has been exceeded.",
            400,
            errors.ScanQuotaExhausted,
        ),
    ],
)
def test_gives_an_error_code_its_name_after_one_attempt(
    code: str, message: str, status: int, name: type[Exception]
) -> None:
    registry = Answering(EcrError(code, message, status))
    with pytest.raises(name) as raised:
        ecr(registry).start_scan("team/api", DIGEST)
    assert str(raised.value) == f"StartImageScan of team/api@{DIGEST}: {message}"
    assert isinstance(raised.value.__cause__, ClientError)
    assert registry.attempts == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SomethingNew", "any"),
        ("InvalidParameterException", "any"),
        ("ValidationException", "The digest is not one"),
        ("ExpiredTokenException", "The security token is expired"),
    ],
)
def test_keeps_code_and_words_of_an_unknown_error_after_one_attempt(
    code: str, message: str
) -> None:
    registry = Answering(EcrError(code, message))
    with pytest.raises(errors.EcrError) as raised:
        ecr(registry).start_scan("team/api", DIGEST)
    assert (raised.value.code, raised.value.message) == (code, message)
    assert type(raised.value).__name__ == code  # which Lambda reports, and the state machine shows
    assert str(raised.value) == f"StartImageScan of team/api@{DIGEST}: {message}"
    assert isinstance(raised.value.__cause__, ClientError)
    assert registry.attempts == 1


NO_CONNECTION = [
    EndpointConnectionError(endpoint_url="any"),
    ConnectTimeoutError(endpoint_url="any"),
    ReadTimeoutError(endpoint_url="any"),
]


@pytest.mark.parametrize("error", NO_CONNECTION, ids=lambda error: type(error).__name__)
def test_takes_no_answer_for_an_unavailable_ecr_after_one_attempt(error: Exception) -> None:
    registry = Answering(error)
    with pytest.raises(errors.EcrUnavailable, match=f"StartImageScan of team/api@{DIGEST}: "):
        ecr(registry).start_scan("team/api", DIGEST)
    assert registry.attempts == 1


@pytest.mark.parametrize("subject", CALLS)
@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        ("ThrottlingException", 400, errors.EcrThrottled),
        ("ServerException", 500, errors.EcrUnavailable),
        ("AccessDeniedException", 400, errors.AccessDenied),
    ],
)
def test_says_of_every_call_what_was_asked_of_whom(
    subject: str, code: str, status: int, name: type[Exception]
) -> None:
    registry = Answering(EcrError(code, "any", status))
    with pytest.raises(name) as raised:
        CALLS[subject](ecr(registry))
    assert str(raised.value) == f"{subject}: any"
    assert registry.attempts == 1


def test_names_what_the_registry_itself_refuses() -> None:
    registry = simulated("""
scans_per_day: 2
repositories:
  - name: team/api
    images:
      - {tags: v1}
      - {tags: fresh, scanned: 2h}
      - {tags: more, count: 1}
      - {tags: old, archived: 9d}
      - {tags: multi, kind: index}
      - {tags: deleted, vanishes: true}
  - {name: team/gone, vanishes: true}
""")
    adapter = ecr(registry)

    def refusal(tag: str, repository: str = "team/api") -> type[BaseException]:
        with pytest.raises(Exception, match="StartImageScan of") as raised:
            adapter.start_scan(repository, digest_of(repository, tag))
        return raised.type

    adapter.start_scan("team/api", DIGEST)
    assert refusal("v1") is errors.ImageScannedRecently
    assert refusal("fresh") is errors.ImageScannedRecently
    assert refusal("more") is errors.ScanQuotaExhausted
    assert refusal("old") is errors.ImageArchived
    assert refusal("multi") is errors.ImageNotScannable
    assert refusal("deleted") is errors.ImageNotFound
    assert refusal("any", "team/gone") is errors.RepositoryNotFound


def test_says_that_an_enhanced_registry_takes_no_scans() -> None:
    registry = simulated("scanning: ENHANCED\n" + ONE_IMAGE)
    with pytest.raises(errors.ManualScanningDisabled):
        ecr(registry).start_scan("team/api", DIGEST)


def test_has_a_name_for_every_error_in_the_model_but_faults_of_the_caller() -> None:
    model = ecr_client().meta.service_model
    codes = {
        shape.name
        for subject in CALLS
        for shape in model.operation_model(subject.split()[0]).error_shapes
    }
    unnamed = set()
    for code in codes:
        with pytest.raises(Exception, match="any") as raised:
            ecr(Answering(EcrError(code, "any"))).start_scan("team/api", DIGEST)
        if issubclass(raised.type, errors.EcrError):
            unnamed.add(code)
    assert unnamed == {"InvalidParameterException", "ValidationException"}


# What a scan found


SCANNED = "{name: team/api, images: [{tags: v1, scanned: 2d, %s}]}"


def scanned(members: str) -> SimulatedRegistry:
    return simulated(f"repositories: [{SCANNED % members}]")


def test_lists_findings_a_thousand_a_call() -> None:
    registry = scanned("findings: {low: 2345}")
    found = ecr(registry).findings("team/api", DIGEST)
    assert len({finding.name for finding in found.findings}) == 2_345
    assert (found.status, found.scan_type, found.is_whole) == ("COMPLETE", "BASIC", True)
    assert registry.calls == {"DescribeImageScanFindings": 3}


@pytest.mark.parametrize(
    ("listed", "is_whole"), [("{low: 9999, high: 1}", True), ("{low: 9999, high: 2}", False)]
)
def test_reads_ten_thousand_findings_at_most(listed: str, is_whole: bool) -> None:
    registry = scanned(f"findings: {listed}")
    found = ecr(registry).findings("team/api", DIGEST)
    assert (len(found.findings), found.is_whole) == (MOST_FINDINGS, is_whole)
    assert registry.calls == {"DescribeImageScanFindings": 10}


def test_reads_all_that_is_shown_of_a_finding() -> None:
    (finding,) = ecr(scanned("findings: {high: 1}")).findings("team/api", DIGEST).findings
    assert (finding.severity, finding.score) == ("HIGH", 0.0)
    assert finding.package
    assert finding.version == "1.0.0"
    assert finding.uri == f"https://nvd.nist.gov/vuln/detail/{finding.name}"


def test_a_failed_scan_has_no_findings() -> None:
    found = ecr(scanned("last_result: failed")).findings("team/api", DIGEST)
    assert found.scan
    assert found == ScanFindings("FAILED", scan=replace(found.scan, severities={}))


class Showing(SimulatedRegistry):
    """A registry that answers with the pages given, one after the other."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        super().__init__()
        self._pages = list(pages)
        self.cursors: list[str | None] = []

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.cursors.append(request.get("nextToken"))
        page = self._pages.pop(0)
        return {**page, "nextToken": f"page {len(self.cursors)}"} if self._pages else page


def listing(status: str | None = "COMPLETE", **lists: list[dict[str, Any]]) -> dict[str, Any]:
    """Make a page of the answer with the lists given."""
    told = {"imageScanStatus": {"status": status}} if status else {}
    return {**told, "imageScanFindings": lists}


def one(registry: SimulatedRegistry) -> Finding:
    """Read the only finding of an image."""
    (finding,) = ecr(registry).findings("team/api", DIGEST).findings
    return finding


@pytest.mark.parametrize(
    ("attributes", "score"),
    [
        ({"CVSS2_SCORE": "5.0", "CVSS3_SCORE": "7.5"}, 7.5),
        ({"CVSS3_SCORE": "7.5", "CVSS4_SCORE": "8.1"}, 8.1),
        ({"CVSS4_SCORE": "", "CVSS2_SCORE": "5"}, 5.0),
        ({"CVSS3_SCORE": "high"}, 0.0),
        ({}, 0.0),
    ],
)
def test_scores_a_finding_by_the_newest_version(attributes: dict[str, str], score: float) -> None:
    told = [{"key": key, "value": value} for key, value in attributes.items()]
    finding = {"name": "CVE-1", "severity": "LOW", "attributes": told}
    assert one(Showing(listing(findings=[finding]))).score == score


def test_a_finding_may_say_next_to_nothing() -> None:
    finding = {"attributes": [{"key": "package_name"}]}
    assert one(Showing(listing(findings=[finding]))) == Finding(name="", severity="UNDEFINED")


PACKAGES = [
    {"name": "openssl", "version": "3.0.11", "release": "1~deb12u2", "epoch": 0},
    {"name": "libssl3", "version": "3.0.11", "release": "1", "epoch": 1},
]
# As AWS documents it, and as the model has it: no field of it is invented.
ENHANCED = {
    "awsAccountId": "123456789012",
    "findingArn": "arn:aws:inspector2:eu-central-1:123456789012:finding/0123",
    "title": "CVE-2026-31337 - openssl, libssl3",
    "type": "PACKAGE_VULNERABILITY",
    "status": "ACTIVE",
    "severity": "CRITICAL",
    "score": 9.8,
    "exploitAvailable": "YES",
    "fixAvailable": "PARTIAL",
    "packageVulnerabilityDetails": {
        "vulnerabilityId": "CVE-2026-31337",
        "relatedVulnerabilities": ["DSA-1", "ALAS-2"],
        "sourceUrl": "https://security-tracker.debian.org/tracker/CVE-2026-31337",
        "vulnerablePackages": [
            {**PACKAGES[0], "fixedInVersion": "3.0.11-1~deb12u3"},
            {**PACKAGES[1], "fixedInVersion": "NotAvailable"},
        ],
    },
}


def test_reads_a_finding_of_inspector_once_per_package() -> None:
    found = ecr(Showing(listing("ACTIVE", enhancedFindings=[ENHANCED]))).findings("any", DIGEST)
    of_openssl = Finding(
        name="CVE-2026-31337",
        severity="CRITICAL",
        package="openssl",
        version="3.0.11-1~deb12u2",
        uri="https://security-tracker.debian.org/tracker/CVE-2026-31337",
        score=9.8,
        fixed_in="3.0.11-1~deb12u3",
        related=("DSA-1", "ALAS-2"),
        has_exploit=True,
    )
    of_libssl3 = replace(of_openssl, package="libssl3", version="1:3.0.11-1", fixed_in="")
    assert found == ScanFindings(
        "ACTIVE", "ENHANCED", (of_openssl, of_libssl3), scan=LastScan("ACTIVE")
    )


def enhanced(*packages: dict[str, Any], **members: object) -> Showing:
    """Make a registry with one enhanced finding in these packages."""
    details = {"vulnerabilityId": "CVE-1", "vulnerablePackages": list(packages)}
    finding = {"packageVulnerabilityDetails": details, "status": "ACTIVE", **members}
    return Showing(listing("ACTIVE", enhancedFindings=[finding]))


def test_reads_a_package_in_several_places_once() -> None:
    finding = one(
        enhanced(
            {"name": "lodash", "filePath": "a/package.json"},
            {"name": "lodash", "filePath": "b/package.json", "version": "4.17.1"},
            {"name": "lodash", "version": "4.17.2", "fixedInVersion": "4.17.21"},
        )
    )
    assert finding == Finding(
        name="CVE-1",
        severity="UNDEFINED",
        package="lodash",
        version="4.17.1",
        fixed_in="4.17.21",
    )


@pytest.mark.parametrize("severity", ["UNTRIAGED", "INFORMATIONAL", "LOW"])
def test_keeps_the_severity_as_ecr_has_it(severity: str) -> None:
    assert one(enhanced({"name": "zlib"}, severity=severity)).severity == severity


@pytest.mark.parametrize("told", ["NotAvailable", "NOTAVAILABLE", ""])
def test_what_is_not_available_is_no_version(told: str) -> None:
    assert one(enhanced({"name": "zlib", "fixedInVersion": told, "epoch": 2})) == Finding(
        name="CVE-1", severity="UNDEFINED", package="zlib"
    )


@pytest.mark.parametrize(("told", "has_exploit"), [("YES", True), ("NO", False), ("", False)])
def test_reads_whether_an_exploit_is_known(told: str, has_exploit: bool) -> None:
    assert one(enhanced({"name": "zlib"}, exploitAvailable=told)).has_exploit is has_exploit


def test_marks_what_a_rule_suppresses_and_leaves_out_what_is_closed() -> None:
    statuses = ("SUPPRESSED", "CLOSED", "ACTIVE")
    told = [{**ENHANCED, "status": status} for status in statuses]
    found = ecr(Showing(listing("ACTIVE", enhancedFindings=told))).findings("any", DIGEST)
    assert [finding.is_suppressed for finding in found.findings] == [True, True, False, False]


def test_an_image_of_which_all_findings_are_closed_was_scanned_by_inspector() -> None:
    closed = {**ENHANCED, "status": "CLOSED"}
    found = ecr(Showing(listing("COMPLETE", enhancedFindings=[closed]))).findings("any", DIGEST)
    assert found == ScanFindings("COMPLETE", "ENHANCED", scan=LastScan("COMPLETE"))


def test_an_enhanced_finding_may_say_next_to_nothing() -> None:
    assert one(Showing(listing("ACTIVE", enhancedFindings=[{}]))) == Finding("", "UNDEFINED")


@pytest.mark.parametrize(
    ("status", "scan_type"),
    [
        ("ACTIVE", "ENHANCED"),
        ("SCAN_ELIGIBILITY_EXPIRED", "ENHANCED"),
        ("COMPLETE", "BASIC"),
        ("PENDING", "BASIC"),
        ("FINDINGS_UNAVAILABLE", "BASIC"),
    ],
)
def test_tells_the_scan_type_of_an_empty_list_by_the_status(status: str, scan_type: str) -> None:
    answer = listing(status, findings=[], enhancedFindings=[])
    assert ecr(Showing(answer)).findings("any", DIGEST) == ScanFindings(
        status, scan_type, scan=LastScan(status)
    )


def test_a_basic_finding_makes_a_basic_scan_whatever_its_status() -> None:
    found = ecr(Showing(listing("ACTIVE", findings=[{"name": "CVE-1"}]))).findings("any", DIGEST)
    assert found.scan_type == "BASIC"


def test_an_answer_without_a_status_is_complete_only_with_a_time() -> None:
    dated = {"imageScanFindings": {"imageScanCompletedAt": NOW}}
    assert ecr(Showing(dated)).findings("any", DIGEST).status == "COMPLETE"
    assert ecr(Showing({})).findings("any", DIGEST) == ScanFindings("")


def test_reads_the_scan_with_its_findings() -> None:
    """Both are known after one call; a scan that began between two pages is another one."""
    last = {
        "imageScanStatus": {"status": "FAILED", "description": "no such layer"},
        "imageScanFindings": {"imageScanCompletedAt": NOW, "findingSeverityCounts": {"HIGH": 1}},
    }
    first = listing(findings=[{"name": "CVE-1"}])
    found = ecr(Showing(first, last)).findings("any", DIGEST)
    assert found.scan == LastScan("FAILED", NOW, "no such layer", {"HIGH": 1})


def test_reads_one_image_as_a_listing_shows_it() -> None:
    registry = simulated("repositories: [{name: team/api, images: [{tags: [v1, v2]}, {tags: []}]}]")
    listed = ecr(registry).images("team/api").images
    assert [ecr(registry).image("team/api", image.digest) for image in listed] == list(listed)
    assert sorted(image.tags for image in listed) == [(), ("v1", "v2")]
    assert registry.calls == {"DescribeImages": 3}
    with pytest.raises(errors.ImageNotFound):
        ecr(registry).image("team/api", f"sha256:{9:064x}")
    with pytest.raises(errors.RepositoryNotFound):
        ecr(registry).image("team/web", DIGEST)


def test_believes_the_status_of_the_last_page() -> None:
    registry = Showing(
        listing("ACTIVE", enhancedFindings=[ENHANCED]), listing("FINDINGS_UNAVAILABLE")
    )
    found = ecr(registry).findings("any", DIGEST)
    assert (found.status, found.scan_type) == ("FINDINGS_UNAVAILABLE", "ENHANCED")
    assert len(found.findings) == 2
    assert registry.cursors == [None, "page 1"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ThrottlingException", errors.EcrThrottled),
        ("ScanNotFoundException", errors.ScanNotFound),
        ("AccessDeniedException", errors.AccessDenied),
    ],
)
def test_says_of_whose_findings_it_was_asked(code: str, name: type[Exception]) -> None:
    registry = Answering(EcrError(code, "any"))
    with pytest.raises(name, match=f"DescribeImageScanFindings of team/api@{DIGEST}: any"):
        ecr(registry).findings("team/api", DIGEST)
    assert registry.attempts == 1


# How it is called


INDEX = "repositories: [{name: team/multi, images: [{tags: v1, kind: index, platforms: 2}]}]"


def test_reads_the_platforms_of_an_index_without_attestations() -> None:
    registry = simulated(INDEX)
    children = [digest_of("team/multi", f"v1 platform {number}") for number in range(2)]
    platforms = ecr(registry).platforms("team/multi", digest_of("team/multi", "v1"))
    assert platforms == dict(zip(children, ("linux/amd64", "linux/arm64"), strict=True))
    assert registry.calls == {"BatchGetImage": 1}


def test_an_index_that_is_gone_is_not_found() -> None:
    missing = digest_of("team/multi", "v2")
    with pytest.raises(errors.ImageNotFound, match=f"BatchGetImage of team/multi@{missing}"):
        ecr(simulated(INDEX)).platforms("team/multi", missing)
    with pytest.raises(errors.RepositoryNotFound):
        ecr(simulated(INDEX)).platforms("team/other", missing)


def test_a_single_image_is_no_index() -> None:
    with pytest.raises(UnreadableIndex):
        ecr(simulated()).platforms("team/api", DIGEST)


class Failing(SimulatedRegistry):
    """A registry that returns no image, with these failures."""

    def __init__(self, *failures: dict[str, Any]) -> None:
        super().__init__()
        self._failures = list(failures)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        del operation, request
        return {"failures": self._failures}


def test_says_why_ecr_returns_no_index() -> None:
    failure = {"failureCode": "KmsError", "failureReason": "The key is disabled."}
    with pytest.raises(errors.EcrError, match=r"The key is disabled\.") as raised:
        ecr(Failing(failure)).platforms("team/api", DIGEST)
    assert type(raised.value).__name__ == "KmsError"
    with pytest.raises(UnreadableIndex, match="the answer has no image"):
        ecr(Failing()).platforms("team/api", DIGEST)


def test_asks_once_and_soon_gives_up() -> None:
    assert CLIENT_CONFIG.retries == {"mode": "standard", "total_max_attempts": 1}
    assert (CLIENT_CONFIG.connect_timeout, CLIENT_CONFIG.read_timeout) == (3, 10)
    assert CLIENT_CONFIG.max_pool_connections == CONNECTIONS


def test_makes_one_client_for_all_invocations(account: None) -> None:
    registry = ecr_registry()
    assert registry is ecr_registry()
    config = registry._client.meta.config
    assert config.retries["total_max_attempts"] == 1
    assert config.max_pool_connections == CONNECTIONS
