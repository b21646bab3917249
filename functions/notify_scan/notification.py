"""The result of an event: deliveries to some channels, or none, and the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from accepted_risks.risks import AcceptedRisk, AcceptedRisks
from ledger.errors import LedgerUnavailable
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.known_image import KnownImage, Ledger, keep_up, recall, remember
from notify_scan.scan_details import NO_RISKS, RETRIES, with_details
from registry.ecr import EcrRegistry
from reporting.channels.delivery import Delivery
from reporting.channels.in_use import ChannelsInUse
from reporting.decision import Decision, NotificationPolicy, decide
from reporting.reports import Reason, ScanReport
from reporting.wording import message_of_run, message_of_scan
from runtime.log import logger


@dataclass(frozen=True)
class Notification:
    """The deliveries of one event, and why there are some or none.

    about: the subject of the report, for the log.
    """

    about: str
    notify: bool
    reason: Reason
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True)
class Composer:
    """Everything that a notification is composed with.

    attempt: number of retries so far; the last one continues without ECR and the ledger.
    """

    policy: NotificationPolicy
    risks: AcceptedRisks
    channels: ChannelsInUse
    registry: EcrRegistry
    ledger: Ledger
    now: datetime
    attempt: int

    def compose(self, interpreted: InterpretedEvent) -> Notification:
        """Decide on the report, complete it from ECR, format it, and store the baseline last.

        Raises EcrThrottled, EcrUnavailable or LedgerUnavailable while there are retries left, and
        BaselineMoved if another event on the same image was faster: a retry decides again.
        """
        if interpreted.interpretation.scan:
            return self._of_scan(interpreted, interpreted.interpretation.scan)
        run = interpreted.interpretation.run
        if run is None:
            silence = interpreted.interpretation.silence or Reason.NOT_AN_IMAGE
            return Notification("", notify=False, reason=silence)
        decision = decide(run, self.policy)
        deliveries = self.channels.deliveries(
            message_of_run(run), run, decision, event=interpreted.event, now=self.now
        )
        return Notification(run.subject, decision.notify, decision.reason, deliveries)

    def _of_scan(self, interpreted: InterpretedEvent, scan: ScanReport) -> Notification:
        """Report the scan compared with what was known, or alone without the ledger."""
        try:
            known = recall(interpreted, self.ledger.records, attempt=self.attempt, now=self.now)
            return self._reported(interpreted, scan, known)
        except LedgerUnavailable as error:
            self._warn_in_the_end("ledger unavailable, report not compared", error)
            return self._reported(interpreted, scan, None)

    def _reported(
        self, interpreted: InterpretedEvent, scan: ScanReport, known: KnownImage | None
    ) -> Notification:
        if known and known.is_outdated(scan.scanned_at):
            return Notification(scan.subject, notify=False, reason=Reason.OUTDATED)
        # ECR is called once at most: before the decision only if that may depend on it.
        risks, remark = self._risks(scan)
        if remark:
            scan = replace(scan, remarks=(*scan.remarks, remark))
        is_asked_first = bool(risks) or not scan.is_complete
        if is_asked_first:
            scan = self._completed(scan, risks)
        decision = decide(scan, self.policy, known.before if known else None)
        if decision.notify and self.channels.targets and not is_asked_first:
            scan = self._completed(scan, NO_RISKS)
        if known:
            scan, decision = known.compared(scan, decision), known.settled(decision)
        message = message_of_scan(scan, decision)
        deliveries = self.channels.deliveries(
            message, scan, decision, event=interpreted.event, now=self.now
        )
        if known:
            remember(known, scan, decision, self.ledger, self.channels, self.now)
            self._keep_up(known, scan, decision)
        return Notification(scan.subject, decision.notify, decision.reason, deliveries)

    def _risks(self, scan: ScanReport) -> tuple[Mapping[str, AcceptedRisk], str | None]:
        """Return the accepted risks that may bring the scan below a threshold, and a remark."""
        if self.policy.include_findings and self.policy.thresholds.exceeded(scan):
            accepted = self.risks.in_force(scan.repository, self.now.date())
            return accepted.by_vulnerability, accepted.remark
        return NO_RISKS, None

    def _completed(self, scan: ScanReport, risks: Mapping[str, AcceptedRisk]) -> ScanReport:
        return with_details(
            scan,
            self.registry,
            findings=self.policy.include_findings,
            attempt=self.attempt,
            risks=risks,
        )

    def _keep_up(self, known: KnownImage, scan: ScanReport, decision: Decision) -> None:
        """Update the rest of the ledger, without failing at the last attempt."""
        try:
            keep_up(known, scan, decision, self.ledger, self.channels)
        except LedgerUnavailable as error:
            self._warn_in_the_end("ledger partially updated", error)

    def _warn_in_the_end(self, warning: str, error: LedgerUnavailable) -> None:
        """Raise the error while there are retries left; log it at the last attempt."""
        if self.attempt < RETRIES:
            raise error
        logger.warning(warning, extra={"error": str(error)})
