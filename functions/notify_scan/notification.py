"""The result of an event: deliveries to some channels, or none, and the reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accepted_risks.risks import AcceptedRisks
from ledger.announcements import Route
from ledger.bucket import RunBucket
from ledger.errors import LedgerUnavailable
from ledger.image_baselines import StoredImage
from ledger.image_records import Note
from notify_scan.compared_scan import ComparedScan, compared, compared_again
from notify_scan.finished_run import report_of
from notify_scan.found_scan import FoundScan, ScanLookup
from notify_scan.incidents import (
    IncidentChange,
    ended_by_deletion,
    incident_change,
    incident_of,
    is_problem,
    new_key,
    stored_key,
)
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.known_image import KnownImage, recall
from notify_scan.new_baseline import Conclusion, Ledger, keep_up, remember, with_note
from notify_scan.own_stack import OwnStack
from notify_scan.scan_details import RETRIES, CompletedScan, completed
from notify_scan.scan_record import (
    ScanRecord,
    delivery_record,
    record_of,
    recorded_scan,
    recorded_tags,
)
from registry.ecr import EcrRegistry
from registry.errors import ImageArchived, ImageNotFound, ImageNotScannable, RepositoryNotFound
from reporting import console_links
from reporting.channels import pagerduty
from reporting.channels.delivery import CLAIMED_FOR, Channel, Delivery
from reporting.channels.in_use import ChannelsInUse, Routing
from reporting.decision import (
    Decision,
    Incident,
    NotificationPolicy,
    decide,
    decide_alone,
    decide_run,
)
from reporting.message import plain
from reporting.reports import (
    ChannelTest,
    Deletion,
    FoundImage,
    NoticeReport,
    Reason,
    RunReport,
    ScanReport,
)
from reporting.scan_wording import message_of_more_incidents, message_of_scan
from reporting.wording import message_of_run, message_of_test
from runtime.log import logger

MOST_IMMEDIATE = 20  # messages in an hour, to each channel with a digest
MOST_INCIDENTS = 10  # that are opened in an hour; one more stands for all others
_MORE = "ecr-rescan/more"  # at the start of the key of the incident that stands for others
LATE = "This result arrived late: a newer scan of the image has been reported."


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

    kept_for: time to live of the record of an image.
    attempt: number of retries so far; the last one continues without ECR and the ledger.
    found: the scan that ECR has returned, if the event is a hint to ask for it.
    """

    policy: NotificationPolicy
    risks: AcceptedRisks
    channels: ChannelsInUse
    registry: EcrRegistry
    ledger: Ledger
    bucket: RunBucket
    stack: OwnStack
    kept_for: timedelta
    now: datetime
    attempt: int
    found: FoundScan | None = None

    def compose(self, interpreted: InterpretedEvent) -> Notification:
        """Decide on the report, complete it from ECR, format it, and update the ledger.

        Raises EcrThrottled, EcrUnavailable or LedgerUnavailable while there are retries left, and
        BaselineMoved if another event on the same image was faster: a retry decides again.
        """
        said = interpreted.interpretation
        if said.scan:
            return self._of_scan(interpreted.event, said.scan, interpreted.record)
        if said.run:
            return self._of_run(interpreted.event, said.run)
        if said.found_image:
            return self._of_found(interpreted.event, said.found_image)
        if said.finished_run:
            return self._of_finished_run(said.finished_run)
        if said.deletion:
            return self._of_deletion(interpreted.event, said.deletion)
        if said.test:
            return self._of_test(said.test)
        return Notification("", notify=False, reason=said.silence or Reason.NOT_AN_IMAGE)

    def _of_test(self, test: ChannelTest) -> Notification:
        """Show that a channel works; nothing is stored."""
        report = NoticeReport(
            account=self.stack.account,
            region=self.stack.region,
            topic=f"test-{test.id}",
            title="TEST of ecr-rescan by ",
            about=test.by,
            problem="This channel works. Nothing is in the ledger, and there is nothing to do.",
            reported_at=self.now,
            link=console_links.state_machine_page(self.stack.region, self.stack.rescan_registry),
        )
        deliveries = self.channels.test(
            Channel(test.channel), message_of_test(report), report, now=self.now
        )
        reason = Reason.TEST if deliveries else Reason.CHANNEL_NOT_IN_USE
        return Notification(report.topic, bool(deliveries), reason, deliveries)

    def _of_finished_run(self, run: str) -> Notification:
        """Report what the summary of a run says, once: the run and its status name the messages.

        A claim of a delivery lives as long as CLAIMED_FOR.
        """
        summary = self.bucket.summary(run)
        if summary is None:
            return Notification(run, notify=False, reason=Reason.UNKNOWN_RUN)
        if self.now - summary.ended_at > CLAIMED_FOR:
            return Notification(run, notify=False, reason=Reason.OLD_RUN)
        return self._of_run(f"run-{run}-{summary.status}", report_of(summary, self.stack))

    def _of_run(self, event: str, run: RunReport) -> Notification:
        decision, message = decide_run(run, self.policy), message_of_run(run)
        key = pagerduty.dedup_key(run.subject)
        is_open = decision.notify and decision.incident is Incident.TRIGGER
        is_over = decision.incident is Incident.RESOLVE
        routing = Routing(decision.notify, is_immediate=decision.notify)
        deliveries = self.channels.deliveries(message, run, routing, event=event, now=self.now)
        deliveries += self.channels.incidents(
            (message, run, key) if is_open else None,
            (key,) if is_over else (),
            about=plain(message.title),
            event=event,
            now=self.now,
        )
        return Notification(run.subject, decision.notify, decision.reason, deliveries)

    def _of_found(self, event: str, image: FoundImage) -> Notification:
        """Ask ECR for the scan of an image, and report it like any other."""
        lookup = ScanLookup(
            self.registry, self.ledger.baselines, self.stack, self.now, self.attempt
        )
        found = lookup.scan_of(image, by_name=self.policy.include_findings)
        if isinstance(found, Reason):
            about = f"{image.repository}@{image.image_digest}"
            return Notification(about, notify=False, reason=found)
        self._record(image, found.report)
        asked = record_of(found.report, kept_for=self.kept_for, now=self.now)
        return replace(self, found=found)._of_scan(event, found.report, asked)

    def _record(self, image: FoundImage, scan: ScanReport) -> None:
        """Store the scan if it is newer than the stored one, as RecordScan does."""
        try:
            self.ledger.images.note_scan(
                image.repository,
                image.image_digest,
                recorded_scan(scan),
                tags=recorded_tags(scan),
                expires_at=int((self.now + self.kept_for).timestamp()),
            )
        except LedgerUnavailable as error:
            self._warn_in_the_end("scan not recorded", error)

    def _of_scan(self, event: str, scan: ScanReport, asked: ScanRecord | None) -> Notification:
        """Report the scan compared with what was known, or alone without the ledger."""
        if asked is None:
            return self._alone(event, scan)
        try:
            known = recall(asked, event, self.ledger.baselines, tagged_at=scan.had_tags_at)
            return self._compared(event, scan, known)
        except LedgerUnavailable as error:
            self._warn_in_the_end("ledger unavailable, report not compared", error)
            return self._alone(event, scan)

    def _alone(self, event: str, scan: ScanReport) -> Notification:
        scan = self._completed(scan, by_name=self.policy.include_findings).report
        thresholds = self.policy.thresholds
        if scan.is_complete:
            scan = replace(scan, open_now=thresholds.exceeded(thresholds.counts(scan)))
        decision = decide_alone(scan, self.policy)
        # What is not compared cannot wait for a digest, and no incident has a key to be closed by.
        routing = Routing(decision.notify, is_immediate=decision.notify)
        deliveries = self.channels.deliveries(
            message_of_scan(scan), scan, routing, event=event, now=self.now
        )
        return Notification(scan.subject, decision.notify, decision.reason, deliveries)

    def _compared(self, event: str, scan: ScanReport, known: KnownImage) -> Notification:
        if known.is_outdated(scan.scanned_at):
            return Notification(scan.subject, notify=False, reason=Reason.OUTDATED)
        if child := known.stored.child:
            scan = replace(scan, platform=child.platform, tags=scan.tags or child.tags)
        result, is_missing = self._result(event, scan, known)
        before = known.before
        decision = decide(
            result.comparison,
            result.compared_state,
            self.policy,
            before.image_state if before else None,
            known.since_notified(self.now),
        )
        conclusion = self._concluded(known, result, decision)
        report = replace(
            result.report,
            is_reminder=decision.is_reminder,
            remarks=(*result.report.remarks, LATE) if known.is_late else result.report.remarks,
        )
        deliveries = tuple(
            _recorded(each, known) for each in self._deliveries(event, report, conclusion)
        )
        if known.note is None:
            remember(
                known,
                conclusion,
                self.ledger,
                event_id=event,
                now=self.now,
                has_digest=self.channels.has_digest,
            )
        self._keep_up(known, result, is_missing=is_missing)
        return Notification(report.subject, decision.notify, decision.reason, deliveries)

    def _result(self, event: str, scan: ScanReport, known: KnownImage) -> tuple[ComparedScan, bool]:
        """Compare the scan; the second value is whether ECR did not list its findings."""
        findings = known.stored.findings
        noted = findings.change_of(event) if known.note and findings else None
        if known.note and noted:
            return compared_again(scan, noted, known.note.before), False
        by_name = self.policy.include_findings and known.note is None
        scan_of_ecr = self._completed(scan, by_name=by_name)
        result = compared(scan_of_ecr, known, self.policy.thresholds, self.now)
        return result, scan_of_ecr.is_missing

    def _completed(self, scan: ScanReport, *, by_name: bool) -> CompletedScan:
        accepted = self.risks.in_force(scan.repository, self.now.date())
        if by_name and accepted.remark:
            scan = replace(scan, remarks=(*scan.remarks, accepted.remark))
        return completed(
            scan,
            self.registry,
            by_name=by_name,
            attempt=self.attempt,
            risks=accepted.by_vulnerability,
            answer=self.found.answer if self.found else None,
        )

    def _concluded(self, known: KnownImage, result: ComparedScan, decision: Decision) -> Conclusion:
        """Decide what is sent immediately, and what becomes of incidents."""
        if note := known.note:
            return _as_noted(note, result, decision, known)
        # What was there before ecr-rescan looked is no news; what is pushed is. Anyone can send a
        # hint, so that the push decides and not the event that speaks of it first.
        is_old = self.found is not None and self.found.is_of_old_image
        was_there = known.stored.record.started_by is not None or is_old
        is_first_sight = known.before is None and was_there
        may_be_sent = decision.notify and not is_first_sight
        is_immediate = may_be_sent and self.channels.has_digest and self._has_place(result)
        conclusion = Conclusion(
            scan=result,
            decision=decision,
            incident=IncidentChange(stored_key(known.stored.record.baseline)),
            is_first_sight=is_first_sight,
            is_immediate=is_immediate,
        )
        if Channel.PAGERDUTY not in self.channels.targets:
            return conclusion
        return self._with_incidents(conclusion, known, may_be_sent=may_be_sent)

    def _with_incidents(
        self, conclusion: Conclusion, known: KnownImage, *, may_be_sent: bool
    ) -> Conclusion:
        result, baseline = conclusion.scan, known.stored.record.baseline
        subject, severities = result.report.subject, self.channels.incident_severities
        handed_on = [
            (each.record, key)
            for each in known.superseded
            if (key := incident_of(each.record.baseline, _subject(result.report, each)))
        ]
        place = None
        if may_be_sent and not known.is_superseded:
            place = self._place(Route.PAGERDUTY, result, severities, MOST_INCIDENTS + 1)
        key = new_key(subject, baseline.revision + 1 if baseline else 1)
        former = known.predecessor.record.baseline if known.predecessor else None
        is_left = ended_by_deletion(former, severities) and is_problem(
            result.image_state, key, severities
        )
        incident = incident_change(
            result.image_state,
            own=incident_of(baseline, subject),
            inherited=[each for _, each in handed_on],
            severities=severities,
            is_news=is_left or (place is not None and place <= MOST_INCIDENTS),
            key=key,
        )
        triggered = incident.key if incident.trigger else None
        if triggered is None and place is not None and place > MOST_INCIDENTS:
            triggered = self._key_of_more_incidents(result.report)
        return replace(
            conclusion,
            incident=incident,
            triggered=triggered,
            resolved=incident.resolve,
            handed_on=tuple(record for record, _ in handed_on),
        )

    def _has_place(self, result: ComparedScan) -> bool:
        severities = self.channels.urgent_severities
        return self._place(Route.IMMEDIATE, result, severities, MOST_IMMEDIATE) is not None

    def _place(
        self, route: Route, result: ComparedScan, severities: Sequence[str], most: int
    ) -> int | None:
        """Return the place of a scan with urgent news in the budget of the hour, if it gets one."""
        news = result.news(severities)
        if news is None:
            return None
        # By image: if this scan is not reported, because a newer one is known by now, the next one
        # of the image has the claim of the vulnerability that they share.
        image = result.report.subject
        return self.ledger.announcements.place(route, news, event=image, now=self.now, most=most)

    def _key_of_more_incidents(self, report: ScanReport) -> str:
        return f"{_MORE}/{report.account}/{report.region}/{self.now:%Y-%m-%dT%H}"

    def _deliveries(
        self, event: str, report: ScanReport, conclusion: Conclusion
    ) -> tuple[Delivery, ...]:
        message, key = message_of_scan(report), conclusion.triggered
        routing = Routing(conclusion.decision.notify, conclusion.is_immediate)
        is_more = key is not None and key.startswith(f"{_MORE}/")
        paged = message_of_more_incidents(report) if is_more else message
        return self.channels.deliveries(
            message, report, routing, event=event, now=self.now
        ) + self.channels.incidents(
            (paged, report, key) if key else None,
            conclusion.resolved,
            about=plain(message.title),
            event=event,
            now=self.now,
        )

    def _of_deletion(self, event: str, deletion: Deletion) -> Notification:
        """Resolve the incident of an image that is deleted."""

        def ended(reason: Reason, *keys: str) -> Notification:
            deliveries = self.channels.incidents(
                resolved=keys, about=deletion.subject, event=event, now=self.now
            )
            return Notification(deletion.subject, bool(keys), reason, deliveries)

        if Channel.PAGERDUTY not in self.channels.targets:
            return ended(Reason.NO_INCIDENT)
        if deletion.is_elsewhere:
            return ended(Reason.DELETED_ELSEWHERE)
        repository, image_digest = deletion.repository, deletion.image_digest
        record = self.ledger.baselines.recall(repository, image_digest, ()).image.record
        baseline = record.baseline
        for note in baseline.notes if baseline else ():
            if note.event_id == event:
                return ended(Reason.DELETED, *note.resolved)
        key = incident_of(baseline, deletion.subject)
        if baseline is None or not key:
            return ended(Reason.NO_INCIDENT)
        if self._is_still_there(deletion):
            return ended(Reason.STILL_THERE)
        note = Note(event, self.now, baseline.image_state, baseline.notified_at, resolved=(key,))
        scanned_at = record.last_scan.scanned_at if record.last_scan else deletion.deleted_at
        self.ledger.baselines.note(
            repository,
            image_digest,
            with_note(baseline, note, incident=""),
            seen=baseline,
            scanned_at=scanned_at,
        )
        return ended(Reason.DELETED, key)

    def _is_still_there(self, deletion: Deletion) -> bool:
        """Return whether only a tag was deleted; the event does not say which."""
        try:
            self.registry.last_scan(deletion.repository, deletion.image_digest)
        except (ImageNotFound, RepositoryNotFound):
            return False
        except (ImageArchived, ImageNotScannable):
            return True
        return True

    def _keep_up(self, known: KnownImage, result: ComparedScan, *, is_missing: bool) -> None:
        """Update the rest of the ledger, without failing at the last attempt."""
        try:
            keep_up(known, result, self.ledger, is_missing=is_missing, now=self.now)
        except LedgerUnavailable as error:
            self._warn_in_the_end("ledger partially updated", error)

    def _warn_in_the_end(self, warning: str, error: LedgerUnavailable) -> None:
        """Raise the error while there are retries left; log it at the last attempt."""
        if self.attempt < RETRIES:
            raise error
        logger.warning(warning, extra={"error": str(error)})


def _recorded(delivery: Delivery, known: KnownImage) -> Delivery:
    """Return a delivery with how it is recorded; the end of an incident notifies of no finding."""
    if delivery.channel is Channel.PAGERDUTY and pagerduty.is_resolution(delivery.content):
        return delivery
    record = delivery_record(known.asked, delivery.channel, known.next_revision)
    return replace(delivery, image=record)


def _as_noted(
    note: Note, result: ComparedScan, decision: Decision, known: KnownImage
) -> Conclusion:
    """Return what an event led to when it was processed before.

    A late one can only confirm the incident that the image still has, and end one that it has not.
    """
    own, is_late = incident_of(known.stored.record.baseline, result.report.subject), known.is_late
    is_confirmed = not is_late or note.triggered == own
    return Conclusion(
        scan=result,
        decision=decision,
        incident=IncidentChange(own),
        is_immediate=note.is_immediate,
        triggered=note.triggered if is_confirmed else None,
        resolved=tuple(key for key in note.resolved if not is_late or key != own),
    )


def _subject(report: ScanReport, image: StoredImage) -> str:
    """Return the subject of another image of the same repository."""
    return replace(report, image_digest=image.record.image_digest).subject
