"""Events about an image itself, read into what has become of it."""

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from reporting.reports import Deletion, Interpretation


def image_action(event: Fields) -> Interpretation:
    """Read an ECR Image Action event of a deletion.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
    """
    detail = event.part("detail")
    action = detail.text("action-type"), detail.text("result")
    if action != ("DELETE", "SUCCESS"):
        raise UnreadableScanEvent(
            f"{detail.where} must be of a DELETE with SUCCESS, not of {action[0]!a} with "
            f"{action[1]!a}"
        )
    return Interpretation(
        deletion=Deletion(
            account=event.text("account"),
            region=event.text("region", most=LONGEST_REGION),
            repository=detail.text("repository-name"),
            image_digest=detail.text("image-digest"),
            deleted_at=event.time("time"),
        )
    )
