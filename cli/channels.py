"""The channels of a stack, as its parameters and the secrets of its channels have them."""

import json

from reporting.channels.delivery import Channel
from reporting.channels.in_use import NEEDED, SECRET_PARAMETERS

# The parameter by which each channel is in use, and its value where it is not.
USED_BY = {
    Channel.SNS: ("NotificationTopicState", "DISABLED"),
    Channel.CHATBOT: ("ChatbotTopicState", "DISABLED"),
    **{channel: (name, "") for channel, name in SECRET_PARAMETERS.items()},
    Channel.EVENTBRIDGE: ("ReportEventBusArn", ""),
}
_URLS = {Channel.SLACK: "https://hooks.slack.com/…"}


def secret_content(channel: Channel) -> str:
    """Return what the secret of a channel has to hold, and into which file to write it."""
    url = _URLS.get(channel, "https://…")
    content = {name: url if name == "url" else "…" for name in NEEDED[channel]}
    return f"{json.dumps(content, ensure_ascii=False)} into {secret_file(channel)}"


def secret_file(channel: Channel) -> str:
    """Return the name of the file that a command makes the secret of a channel from."""
    return f"{channel.lower()}.json"
