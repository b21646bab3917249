"""What the functions of SendDigest read from the parameters of the stack."""

from dataclasses import dataclass
from datetime import timedelta

from reporting.channels.in_use import ChannelSettings
from reporting.decision import NotifyOn
from runtime.settings import Settings


@dataclass(frozen=True)
class RestartUnfinishedSettings(Settings):
    """Settings of RestartUnfinished."""

    ledger_table: str
    notify_scan_state_machine: str


@dataclass(frozen=True)
class ComposeDigestSettings(ChannelSettings):
    """Settings of ComposeDigest."""

    ledger_table: str
    run_bucket: str
    notify_on: frozenset[NotifyOn]
    remind_after: timedelta


@dataclass(frozen=True)
class ForgetDigestSettings(Settings):
    """Settings of ForgetDigest."""

    ledger_table: str
    run_bucket: str
