"""Floods of events, through the functions as they are: on the tables of moto, with ECR's findings.

What Step Functions does between the functions is done here: the state RecordScan, and no more.
"""

import functools
import json
import operator
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from unittest import mock

import boto3
from moto import mock_aws

from accepted_risks.document import accepted_risks_document
from ledger.bucket import run_bucket
from ledger.image_records import ImageRecords, image_records
from ledger.table import ledger_table
from local.cloud import moto_internals
from notify_scan import compose_notification
from notify_scan.compose_notification import Composition
from notify_scan.interpreted_event import InterpretedEvent
from notify_scan.notification import Notification
from notify_scan.scan_record import record_of
from registry.findings import SEVERITIES, Finding, ScanFindings
from reporting.channels.delivery import Channel, Delivery
from reporting.reports import Interpretation, ScanReport, ScanType
from runtime import clock
from runtime.messages import encode
from runtime.settings import loaded
from send_digest import compose_digest, forget_digest
from send_digest.digest import ComposedDigest, DigestRequest
from send_digest.forget_digest import SentDigest
from tests.support.definition import NOTIFY_SCAN
from tests.support.reports import RESCAN_REGISTRY, any_run_report
from tests.support.template import ACCOUNT, REGION, resolved, resources, template

KEPT_FOR = timedelta(days=180)
EVERY_CHANNEL = {
    "NotificationTopicState": "ENABLED",
    "ChatbotTopicState": "ENABLED",
    "ReportEventBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/reports",
    "SlackWebhookSecretArn": "arn:slack",
    "TeamsWebhookSecretArn": "arn:teams",
    "WebhookSecretArn": "arn:webhook",
    "PagerDutySecretArn": "arn:pagerduty",
    "RescanRegistryStateMachine": RESCAN_REGISTRY,
}
_FUNCTIONS = ("ComposeNotificationFunction", "ComposeDigestFunction", "ForgetDigestFunction")
_TABLE, _BUCKET = "ledger-table", "run-bucket"


@dataclass(frozen=True)
class Image:
    """One image, of one of the repositories that the first images share by tens."""

    number: int

    @property
    def repository(self) -> str:
        """Return the name of its repository."""
        return f"team/service-{self.number // 10}"

    @property
    def image_digest(self) -> str:
        """Return its digest."""
        return f"sha256:{self.number:064x}"

    @property
    def tag(self) -> str:
        """Return its tag."""
        return f"r{self.number}"


@dataclass(frozen=True)
class Sent:
    """A delivery, and when it was sent."""

    at: datetime
    delivery: Delivery


@dataclass
class Installation:
    """A stack with the template's defaults, and every channel.

    found: what ECR finds in an image. sent: every delivery; a channel gets the same message once.
    """

    now: datetime
    found: dict[Image, list[Finding]] = field(default_factory=dict)
    sent: dict[tuple[Channel, str], Sent] = field(default_factory=dict)
    events: int = 0

    def scan(self, image: Image, *, times: int = 1) -> Notification:
        """Let a scan of an image end, a second after the one before.

        times: how often its event is received.
        """
        self.now += timedelta(seconds=1)
        self.events += 1
        findings = self.found.get(image, [])
        counts = Counter(finding.severity for finding in findings)
        report = ScanReport(
            account=ACCOUNT,
            region=REGION,
            repository=image.repository,
            scan_type=ScanType.BASIC,
            status="COMPLETE",
            scanned_at=self.now,
            link="https://console.aws.amazon.com/ecr/any",
            image_digest=image.image_digest,
            tags=(image.tag,),
            severities={name: counts[name] for name in SEVERITIES if counts[name]},
        )
        event = InterpretedEvent(
            event=f"event-{self.events}",
            interpretation=Interpretation(scan=report),
            record=record_of(report, kept_for=KEPT_FOR, now=self.now),
        )
        for _ in range(times):
            self._record(event)
            notification = self._composed(event)
        return notification

    def finish_run(self) -> Notification:
        """Let the run end that has started scans."""
        report = any_run_report(account=ACCOUNT, region=REGION)
        return self._composed(InterpretedEvent("run-1", Interpretation(run=report), None))

    def start(self, image: Image) -> None:
        """Let a run start the scan of an image."""
        expires_at = int((self.now + KEPT_FOR).timestamp())
        self._records.note_started(
            image.repository, image.image_digest, run="run-1", at=self.now, expires_at=expires_at
        )

    def send_digest(self) -> ComposedDigest:
        """Send the digest of the day."""
        name = f"digest-{self.now:%Y-%m-%d}"
        request = DigestRequest(f"arn:aws:states:{REGION}:{ACCOUNT}:execution:SendDigest:{name}")
        composed = cast("ComposedDigest", compose_digest.handler.__wrapped__(request))  # type: ignore[attr-defined]
        self._send(cast("Any", composed.deliveries))
        if composed.digest:
            digest = SentDigest(
                composed.mode,
                composed.digest,
                composed.images,
                composed.messages,
                is_resumed=composed.is_resumed,
            )
            forget_digest.handler.__wrapped__(digest)  # type: ignore[attr-defined]
        return composed

    def messages(self, since: datetime | None = None) -> Counter[Channel]:
        """Count what each channel has received, after a time or ever."""
        return Counter(
            each.delivery.channel for each in self.sent.values() if since is None or each.at > since
        )

    def digest_report(self) -> dict[str, Any]:
        """Read the digest of the day, as it is in the run bucket."""
        key = f"digests/digest-{self.now:%Y-%m-%d}.json"
        document = boto3.client("s3").get_object(Bucket=_BUCKET, Key=key)["Body"].read()
        report: dict[str, Any] = json.loads(document)["report"]
        return report

    def sent_immediately(self) -> list[str]:
        """List the vulnerabilities that messages about scans to the topic say are new."""
        reports = [
            json.loads(json.loads(cast("Any", each.delivery.content)["message"])["default"])[
                "report"
            ]
            for (channel, _), each in self.sent.items()
            if channel is Channel.SNS
        ]
        return [
            finding["name"]
            for report in reports
            if report["kind"] == "scan"
            for finding in report["by_name"]["new"]
        ]

    def clock(self) -> datetime:
        """Show the time to the functions."""
        return self.now

    def accept(self, document: str) -> None:
        """Upload a document of accepted risks."""
        boto3.client("s3").put_object(
            Bucket=_BUCKET, Key="accepted-risks.yaml", Body=document.encode()
        )

    def findings(self, repository: str, image_digest: str) -> ScanFindings:
        """Answer as ECR does."""
        image = Image(int(image_digest.removeprefix("sha256:"), 16))
        assert image.repository == repository
        return ScanFindings("COMPLETE", findings=tuple(self.found[image]))

    def _record(self, event: InterpretedEvent) -> None:
        """Do what the state RecordScan does."""
        client = boto3.client("dynamodb")
        parameters = NOTIFY_SCAN.definition["States"]["RecordScan"]["Parameters"]
        request = _filled(parameters, encode(event)) | {"TableName": _TABLE}
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(**request)

    def _composed(self, event: InterpretedEvent) -> Notification:
        composition = Composition(event, attempt=0)
        notification: Notification = compose_notification.handler.__wrapped__(composition)  # type: ignore[attr-defined]
        self._send(notification.deliveries)
        return notification

    def _send(self, deliveries: tuple[Delivery, ...]) -> None:
        for each in deliveries:
            self.sent.setdefault((each.channel, each.message_id), Sent(self.now, each))
            ledger_table(_TABLE).put(
                (f"delivery#{each.message_id}", f"channel#{each.channel}"),
                {"claimed_at": self.now, "delivered_at": self.now},
            )

    @property
    def _records(self) -> ImageRecords:
        return image_records(_TABLE)


@contextmanager
def installation(now: datetime, **parameters: str) -> Iterator[Installation]:
    """Install the stack in an account of moto. parameters: instead of the template's defaults."""
    installed = Installation(now)
    make_client = boto3.client
    clients: dict[str, Any] = {}

    def client(service_name: str, **arguments: Any) -> Any:
        if service_name not in clients:
            clients[service_name] = make_client(service_name, **arguments)  # type: ignore[call-overload]
            if service_name == "dynamodb":
                moto_internals.answer_directly(clients[service_name])
        return clients[service_name]

    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", _environment(parameters)))
        stack.enter_context(mock_aws())
        stack.enter_context(mock.patch.object(boto3, "client", client))
        stack.enter_context(mock.patch.object(clock, "now", installed.clock))
        ecr = mock.patch.object(compose_notification, "ecr_registry", return_value=installed)
        stack.enter_context(ecr)
        for patch in moto_internals.quick_table_patches():
            stack.enter_context(patch.while_used())
        for cached in (accepted_risks_document, run_bucket, ledger_table, loaded):
            cached.cache_clear()
            stack.callback(cached.cache_clear)
        _create()
        yield installed


def _filled(parameters: Any, state: Any) -> Any:
    """Fill in the paths of a state's parameters."""
    if not isinstance(parameters, dict):
        return parameters
    return {
        name.removesuffix(".$"): _at(value, state) if name.endswith(".$") else _filled(value, state)
        for name, value in parameters.items()
    }


def _at(path: str, state: Any) -> Any:
    return functools.reduce(operator.getitem, path.split(".")[1:], state)


def _environment(parameters: dict[str, str]) -> dict[str, str]:
    environment = {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "any"}
    environment["AWS_SECRET_ACCESS_KEY"] = "any"
    environment |= resolved(template()["Globals"]["Function"]["Environment"]["Variables"])
    for name in _FUNCTIONS:
        variables = resources("AWS::Serverless::Function")[name]["Environment"]["Variables"]
        environment |= resolved(variables, EVERY_CHANNEL | parameters)
    return environment | {"LEDGER_TABLE": _TABLE, "RUN_BUCKET": _BUCKET}


def _create() -> None:
    declared = resources("AWS::DynamoDB::Table")["LedgerTable"]
    schema = {name: declared[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema")}
    boto3.client("dynamodb").create_table(TableName=_TABLE, **schema)
    s3: Any = boto3.client("s3")
    s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
