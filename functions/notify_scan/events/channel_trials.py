"""The test of a channel, which an operator starts directly."""

import re

from notify_scan.events.fields import Fields, UnreadableScanEvent, shown
from reporting.channels.delivery import Channel
from reporting.reports import ChannelTest

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def channel_test(test: Fields) -> ChannelTest:
    """Read which channel is tested, and by whom."""
    asked = ChannelTest(test.text("channel"), test.text("by"), test.text("id"))
    if asked.channel not in set(Channel):
        raise UnreadableScanEvent(
            f"{test.where}.channel must be one of {', '.join(Channel)}, not {shown(asked.channel)}"
        )
    if not _ID.fullmatch(asked.id):
        raise UnreadableScanEvent(
            f"{test.where}.id must be 1 to 64 letters, digits, and hyphens, not {shown(asked.id)}"
        )
    return asked
