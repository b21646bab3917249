"""Events of ecr-rescan itself, which anyone may send who may put events on the default bus.

So they are hints: each is read for the name of what is to be looked at, and nothing else.
"""

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent, shown
from own_events.rescan_finished import is_execution_name
from registry.images import could_exist
from reporting.reports import FoundImage, Interpretation


def rescan_finished(event: Fields) -> Interpretation:
    """Read which run a Rescan Finished event is of."""
    run = event.part("detail").text("run")
    if not is_execution_name(run):
        raise UnreadableScanEvent(
            f"{event.where}.detail.run must be the name of an execution, not {shown(run)}"
        )
    return Interpretation(finished_run=run)


def scan_result_found(event: Fields) -> Interpretation:
    """Read which image a Scan Result Found event is of."""
    detail = event.part("detail")
    image = FoundImage(detail.text("repository-name"), detail.text("image-digest"))
    if not could_exist(image.repository, image.image_digest):
        raise UnreadableScanEvent(
            f"{detail.where} must have names that ECR accepts, "
            f"not {shown(image.repository)} and {shown(image.image_digest)}"
        )
    return Interpretation(found_image=image)


def refuse_others(event: Fields, *, account: str, region: str) -> None:
    """Refuse an event of another account or Region, whose stack has a NotifyScan of its own."""
    sender = event.text("account"), event.text("region", most=LONGEST_REGION)
    if sender != (account, region):
        raise UnreadableScanEvent(
            f"{event.where} must be of account {account} in {region}, "
            f"not of {shown(sender[0])} in {shown(sender[1])}"
        )
