"""What the demo expects where Amazon Inspector scans, and digests are sent."""

from dataclasses import replace

import pytest

from local.demo.expectations import unexpected_in_messages
from local.demo.inspector_scene import Rechecks
from local.demo.messages import Decided, Notifications, digest_channels_of
from tests.support.template import template

# Of two scans above a threshold, one is reported immediately; the other waits for the digest.
NOW = Decided("ecr/1/r/team/api/a", notify=True, reason="x", channels=("SLACK", "SNS", "WEBHOOK"))
LATER = Decided("ecr/1/r/team/api/b", notify=True, reason="x", channels=("WEBHOOK",))
DIGESTED = Notifications(
    scans_started=2,
    scan_events={"COMPLETE": 2},
    executions=2,
    executions_failed=0,
    decisions=(NOW, LATER),
    digests=1,
    digest_channels=digest_channels_of({"DigestChannels": "SNS,SLACK"}),
    received={"slack": 2, "email": 2, "webhook": 2},
    refused={},
)
RECHECKS = Rechecks(events=300, invocations=2, messages=300, results=12, ecr_calls=24)


def test_expects_a_digest_in_its_channels_beside_what_was_reported_immediately() -> None:
    assert unexpected_in_messages(DIGESTED) is None
    assert unexpected_in_messages(replace(DIGESTED, received={"webhook": 3})) == (
        "Webhook received 3 messages instead of 2."
    )


def test_knows_the_channels_with_digests_by_default() -> None:
    default = template()["Parameters"]["DigestChannels"]["Default"]

    assert digest_channels_of({}) == digest_channels_of({"DigestChannels": default})
    assert digest_channels_of({}) == {"email", "sms", "queue", "chatbot", "slack", "teams"}
    assert digest_channels_of({"DigestChannels": "NONE"}) == frozenset()


def test_is_content_when_every_event_of_inspector_was_processed() -> None:
    assert RECHECKS.unexpected() is None
    assert RECHECKS.sentence() == (
        "Amazon Inspector sent 300 events. RecheckImages was invoked 2 times, and put 12 results "
        "on the bus."
    )
    assert "invoked once, and" in replace(RECHECKS, invocations=1).sentence()


@pytest.mark.parametrize(
    ("rechecks", "unexpected"),
    [
        (
            replace(RECHECKS, messages=299),
            "RecheckImages received 299 messages about 300 events.",
        ),
        (replace(RECHECKS, left=2), "2 events of Amazon Inspector are left in the queue."),
    ],
)
def test_says_which_events_of_inspector_were_not_processed(
    rechecks: Rechecks, unexpected: str
) -> None:
    assert rechecks.unexpected() == unexpected
