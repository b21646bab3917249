"""Validators of what the channels are sent, written from the channels' documents.

They know nothing of the code that makes the payloads. `complaints_about_<channel>` gives one
sentence a violation, with its path and what is accepted there: no complaint, no violation.
`<channel>_structure` gives what a channel *reads* in the texts — mentions, links, bold spans —
and leaves out the literal text: a hostile tag and a harmless one must give the same structure.
"""

from .chatbot import chatbot_structure, complaints_about_chatbot
from .event import complaints_about_event
from .pagerduty import complaints_about_pagerduty
from .slack import complaints_about_slack, slack_structure
from .sns import complaints_about_sns
from .teams import complaints_about_teams, teams_structure

__all__ = [
    "chatbot_structure",
    "complaints_about_chatbot",
    "complaints_about_event",
    "complaints_about_pagerduty",
    "complaints_about_slack",
    "complaints_about_sns",
    "complaints_about_teams",
    "slack_structure",
    "teams_structure",
]
