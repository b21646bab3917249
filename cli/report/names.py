"""How the report names an image and a channel."""

from cli.report.document import ReportedImage
from reporting.channels.delivery import Channel
from reporting.reports import ScanReport, ScanType
from reporting.text import visible
from runtime import clock

_SHORT_DIGEST = 12  # digits, as ecr-rescan why takes them
_CHANNELS = {
    Channel.SNS: "SNS",
    Channel.SLACK: "Slack",
    Channel.TEAMS: "Teams",
    Channel.CHATBOT: "Amazon Q",
    Channel.WEBHOOK: "webhook",
    Channel.EVENTBRIDGE: "EventBridge",
    Channel.PAGERDUTY: "PagerDuty",
}


def image_name(image: ReportedImage) -> str:
    """Return the name of an image as messages have it, and how many other tags it has."""
    if not image.tags:
        digest = image.image_digest.partition(":")[2] or image.image_digest
        platform = f" ({image.platform})" if image.platform else ""
        return visible(f"{image.repository}@{digest[:_SHORT_DIGEST]}{platform}")
    report = ScanReport(
        account="",
        region="",
        repository=image.repository,
        scan_type=ScanType.BASIC,
        status="",
        scanned_at=clock.now(),
        link="",
        image_digest=image.image_digest,
        tags=image.tags,
        platform=image.platform,
    )
    more = f" +{len(image.tags) - 1}" if len(image.tags) > 1 else ""
    return visible(f"{report.image}{more}")


def channel_name(channel: str) -> str:
    """Return the name of a channel for a sentence; an unknown one has its own."""
    return _CHANNELS.get(Channel(channel), channel) if channel in Channel else visible(channel)
