"""What the functions of SendDigest read from the parameters of the stack."""

from dataclasses import dataclass

from reporting.channels.in_use import ChannelSettings
from reporting.decision import NotifyOn
from runtime.settings import Settings


@dataclass(frozen=True)
class ComposeDigestSettings(ChannelSettings):
    """Settings of ComposeDigest."""

    ledger_table: str
    run_bucket: str
    notify_on: frozenset[NotifyOn]


@dataclass(frozen=True)
class ForgetDigestSettings(Settings):
    """Settings of ForgetDigest."""

    ledger_table: str
    run_bucket: str
