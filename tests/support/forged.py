"""Events that are forged, of the future, of other accounts, repeated, or late, and their ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reporting.reports import Reason
from tests.support.clock import NOW
from tests.support.events import sample
from tests.support.reports import DIGEST, STACK

REFUSED = "UnreadableScanEvent"
ELSEWHERE = "999999999999"
RUN, OLD_RUN = "run-1", "run-0"
YEAR_2099 = "2099-01-01T00:00:00Z"
REPOSITORY = "team/api"


@dataclass(frozen=True)
class Forgery:
    """An event, what is wrong with it, and how NotifyScan ends.

    says: what is wrong, for the document. others: events before it. is_true: it is the event of
    another image, and reported as that.
    """

    says: str
    event: Callable[[], dict[str, Any]]
    ends: str
    others: Sequence[Callable[[], dict[str, Any]]] = field(default=())
    is_true: bool = False


def event_of(name: str, detail: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """Make an event of the image or of the run that all are about."""
    event = sample(name)
    named = {"repository-name": REPOSITORY, "image-digest": DIGEST}
    event["detail"] |= named if "repository-name" in event["detail"] else {}
    event["detail"] |= detail or {}
    return (
        event | {"account": STACK.account, "region": STACK.region, "time": NOW.isoformat()} | given
    )


def found(**detail: Any) -> Callable[[], dict[str, Any]]:
    """Make a Scan Result Found event."""
    named = {name.replace("_", "-"): value for name, value in detail.items()}
    return lambda: event_of("scan_result_found", named)


def finished(run: str, **detail: Any) -> Callable[[], dict[str, Any]]:
    """Make a Rescan Finished event."""
    return lambda: event_of("rescan_finished", {"run": run, **detail})


def scanned(**given: Any) -> Callable[[], dict[str, Any]]:
    """Make an ECR Image Scan event of the scan that is known."""
    counts = {"finding-severity-counts": {"CRITICAL": 1, "HIGH": 2}, "image-tags": ["v1"]}
    return lambda: event_of("ecr_image_scan_complete", counts, **given)


def deleted(**given: Any) -> Callable[[], dict[str, Any]]:
    """Make an ECR Image Action event of a deletion."""
    return lambda: event_of("ecr_image_action_delete", **given)


def ended_early(**given: Any) -> Callable[[], dict[str, Any]]:
    """Make an event of Step Functions about a run that was stopped."""
    stopped = {"status": "ABORTED", "error": None, "cause": None}
    return lambda: event_of("execution_failed", stopped, **given)


def changed(event: Callable[[], dict[str, Any]], **given: Any) -> Callable[[], dict[str, Any]]:
    """Make an event with other fields."""
    return lambda: event() | given


FORGERIES = {
    "result_of_2099": Forgery(
        "`Scan Result Found`, dated 2099", found(scanned_at=YEAR_2099), Reason.UNCHANGED
    ),
    "result_without_findings": Forgery(
        "`Scan Result Found` that says that all findings are gone",
        found(scanned_at=NOW.isoformat(), finding_severity_counts={}),
        Reason.UNCHANGED,
    ),
    "result_of_a_failure": Forgery(
        "`Scan Result Found` that says that the scan failed",
        found(scan_status="FAILED", scanned_at=NOW.isoformat()),
        Reason.UNCHANGED,
    ),
    "result_of_enhanced_scanning": Forgery(
        "`Scan Result Found` with another type of scanning",
        found(scan_status="ACTIVE", scan_type="ENHANCED"),
        Reason.UNCHANGED,
    ),
    "result_with_foreign_tags": Forgery(
        "`Scan Result Found` with the tag of another image",
        found(image_tags=["prod"], tagged_at=NOW.isoformat()),
        Reason.UNCHANGED,
    ),
    "result_twice": Forgery(
        "`Scan Result Found`, twice", found(), Reason.UNCHANGED, others=(found(),)
    ),
    "result_of_no_image": Forgery(
        "`Scan Result Found` of an image that does not exist",
        found(image_digest=f"sha256:{99:064x}"),
        Reason.GONE,
    ),
    "result_of_another_account": Forgery(
        "`Scan Result Found` of another account", changed(found(), account=ELSEWHERE), REFUSED
    ),
    "result_of_another_region": Forgery(
        "`Scan Result Found` of another Region", changed(found(), region="eu-west-1"), REFUSED
    ),
    "result_by_arn": Forgery(
        "`Scan Result Found` with the ARN of a repository in another account",
        found(repository_name=f"arn:aws:ecr:{STACK.region}:{ELSEWHERE}:repository/{REPOSITORY}"),
        REFUSED,
    ),
    "result_of_no_digest": Forgery(
        "`Scan Result Found` with a tag for a digest", found(image_digest="latest"), REFUSED
    ),
    "run_that_never_was": Forgery(
        "`Rescan Finished` of a run that never was", finished("run-9"), Reason.UNKNOWN_RUN
    ),
    "run_of_another_account": Forgery(
        "`Rescan Finished` of another account",
        changed(finished(RUN), account=ELSEWHERE),
        REFUSED,
    ),
    "run_with_a_path": Forgery(
        "`Rescan Finished` with a path for a name", finished("../accepted-risks"), REFUSED
    ),
    "run_with_another_result": Forgery(
        "`Rescan Finished` of a run that is reported, with another result",
        finished(RUN, status="FINISHED", problems=[], ended_at=YEAR_2099),
        Reason.RUN_NOT_FINISHED,
        others=(finished(RUN),),
    ),
    "run_twice": Forgery(
        "`Rescan Finished`, twice with two ids",
        changed(finished(RUN), id="0d5b2c1e-93f4-4f0a-8a77-000000000002"),
        Reason.RUN_NOT_FINISHED,
        others=(finished(RUN),),
    ),
    "run_of_last_month": Forgery(
        "`Rescan Finished` of a run of last month", finished(OLD_RUN), Reason.OLD_RUN
    ),
    "scan_of_2099": Forgery("`ECR Image Scan`, dated 2099", scanned(time=YEAR_2099), REFUSED),
    "scan_twice": Forgery("`ECR Image Scan`, delivered twice", scanned(id="scan-1"), Reason.NEW),
    "scan_with_another_id": Forgery(
        "`ECR Image Scan`, sent twice with two ids", scanned(id="scan-2"), Reason.UNCHANGED
    ),
    "scan_reordered": Forgery(
        "`ECR Image Scan` of an earlier scan, after that of a newer one",
        scanned(id="scan-0", time=(NOW - timedelta(hours=2)).isoformat()),
        Reason.OUTDATED,
    ),
    "scan_of_another_account": Forgery(
        "`ECR Image Scan` of the same image in another account: reported as that",
        scanned(id="scan-3", account=ELSEWHERE),
        Reason.NEW,
        is_true=True,
    ),
    "enhanced_scan_of_2099": Forgery(
        "`Inspector2 Scan`, dated 2099",
        lambda: event_of("inspector2_scan_ecr", time=YEAR_2099),
        REFUSED,
    ),
    "deletion_of_an_image_that_exists": Forgery(
        "`ECR Image Action` of a deletion, while the image exists", deleted(), Reason.STILL_THERE
    ),
    "deletion_in_another_account": Forgery(
        "`ECR Image Action` of a deletion in another account",
        deleted(account=ELSEWHERE),
        Reason.DELETED_ELSEWHERE,
    ),
    "deletion_of_2099": Forgery(
        "`ECR Image Action` of a deletion, dated 2099", deleted(time=YEAR_2099), REFUSED
    ),
    "end_of_a_run_of_2099": Forgery(
        "`Step Functions Execution Status Change`, dated 2099",
        ended_early(time=YEAR_2099),
        REFUSED,
    ),
    "end_of_a_run_twice": Forgery(
        "`Step Functions Execution Status Change`, delivered twice",
        ended_early(),
        Reason.RUN_NOT_FINISHED,
        others=(ended_early(),),
    ),
}


def forged_table() -> str:
    """Write the table of the document."""
    rows = [f"| {each.says} | `{each.ends}` |" for each in FORGERIES.values()]
    return "\n".join(["| event | ends with the error or reason |", "| --- | --- |", *rows, ""])
