"""Events about an image itself: its deletion, and the push of an index.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
"""

from dataclasses import dataclass
from datetime import datetime

from notify_scan.events.fields import LONGEST_REGION, Fields, UnreadableScanEvent
from registry.images import could_exist, is_tag
from reporting.reports import Deletion, Interpretation


@dataclass(frozen=True)
class PushedIndex:
    """An index of images that was pushed. tag: the one that it got; absent if it got none."""

    repository: str
    image_digest: str
    tag: str | None
    pushed_at: datetime


def image_action(event: Fields) -> Interpretation:
    """Read an ECR Image Action event of a deletion."""
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


def pushed_index(time: object, detail: object, now: datetime) -> PushedIndex:
    """Read time and detail of an ECR Image Action event of a push."""
    event = Fields.of("the event", {"time": time, "detail": detail}, now)
    told = event.part("detail")
    pushed = PushedIndex(
        repository=told.text("repository-name"),
        image_digest=told.text("image-digest"),
        tag=told.optional_text("image-tag") or None,
        pushed_at=event.time("time"),
    )
    is_named = could_exist(pushed.repository, pushed.image_digest)
    if not is_named or (pushed.tag and not is_tag(pushed.tag)):
        raise UnreadableScanEvent(
            f"{told.where} must have names that ECR accepts, not {pushed.repository!a}, "
            f"{pushed.image_digest!a} and {pushed.tag!a}"
        )
    return pushed
