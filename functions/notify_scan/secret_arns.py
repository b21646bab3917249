"""Which webhooks the stack has, and where the address of each is kept."""

from notify_scan.channels.delivery import Channel
from runtime import settings


def secret_arns() -> dict[Channel, str]:
    """Take the stack's parameters; a channel that is not in use is left out."""
    arns = {
        Channel.SLACK: settings.optional_text("SLACK_WEBHOOK_SECRET_ARN"),
        Channel.TEAMS: settings.optional_text("TEAMS_WEBHOOK_SECRET_ARN"),
        Channel.WEBHOOK: settings.optional_text("WEBHOOK_SECRET_ARN"),
        Channel.PAGERDUTY: settings.optional_text("PAGER_DUTY_SECRET_ARN"),
    }
    return {channel: arn for channel, arn in arns.items() if arn}
