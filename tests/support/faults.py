"""What every fault at every hop comes to, as rows: what happens, what is seen, retried and kept.

tests/workflow/test_fault_matrix.py runs each row with the real definitions and handlers, and
`make docs` writes the rows into docs/faults.md.
"""

import contextlib
import itertools
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
from botocore.exceptions import ReadTimeoutError

from local.cloud.moto_internals import Attempt, TaskFailure
from notify_scan.webhooks.client import WebhookClient
from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import Channel
from tests.support.engine import Answer, Engine, Refusal
from tests.support.receivers import SECRETS

type Break = Callable[[Engine], None]
ALWAYS = 10_000  # times, more than anything is tried


class Begins(StrEnum):
    """What a row begins with."""

    RUN = "RescanRegistry"
    SCAN = "NotifyScan"
    DIGEST = "SendDigest"
    EVENT = "functions of events"


class Kept(StrEnum):
    """Where it is what a fault has held up, and what brings it on its way again."""

    NOTHING = "nothing is missing"
    RERUN = "the repository is named in the cause; the rerun does it"
    NEXT_RUN = "the images are deferred; the next run does them"
    RUN = "what is not done yet; the next run does it"
    EVENT = "the event, in `Undelivered`; `ecr-rescan undelivered send`"
    MESSAGE = "the message, in `Undelivered`; `ecr-rescan undelivered send`"
    EXECUTION = "the execution, in the ledger; the next SendDigest starts it again"
    RETURNS = "the messages, in `InspectorFindings`, then in `Undelivered`"
    DEAD_LETTER = (
        "the event, in `Undelivered` after 2 more invocations; `ecr-rescan undelivered send`"
    )
    CHANGES = "the changes, in the ledger; the next SendDigest sends them"


@dataclass(frozen=True)
class Row:
    """One fault at one hop.

    error: of the execution; None if it succeeds.
    state, retries: how often which state was tried again.
    without: what does not come though nothing is lost: repositories without a scan, channels
    without a message.
    twice: how many messages or events came twice.
    sent: how many messages of a digest that fails were sent before.
    """

    begins: Begins
    hop: str
    fault: str
    breaks: Break
    error: str | None
    retries: int
    kept: Kept
    without: tuple[str, ...] = ()
    twice: int = 0
    sent: int = 0

    @property
    def state(self) -> str:
        """The state of the hop."""
        return self.hop.partition(" → ")[0]

    @property
    def name(self) -> str:
        """What the test and the row of the table are called."""
        return f"{self.hop}: {self.fault}"


def fault_table(begins: Begins) -> str:
    """List the faults of a workflow, hop by hop, and what each comes to."""
    lines = [
        "| hop | fault | the operator sees | retries | where it is then |",
        "| --- " * 5 + "|",
    ]
    last = ""
    for row in rows():
        if row.begins is begins:
            hop, last = ("" if row.hop == last else row.hop), row.hop
            lines.append(
                f"| {hop} | {row.fault} | {_seen(row)} | {row.retries or '–'} | {_kept(row)} |"
            )
    return "\n".join([*lines, ""])


def _seen(row: Row) -> str:
    ends: dict[Begins, str] = {
        Begins.RUN: "the run",
        Begins.SCAN: "the execution",
        Begins.DIGEST: "the execution",
        Begins.EVENT: "the invocation",
    }
    if row.error:
        return f"{ends[row.begins]} fails with `{row.error}`"
    return {
        Kept.MESSAGE: "a message in `Undelivered`",
        Kept.NEXT_RUN: "deferred images in the summary",
        Kept.RETURNS: "messages that stay in `InspectorFindings`",
    }.get(row.kept, "–")


def _kept(row: Row) -> str:
    notes = [str(row.kept)]
    if row.without == ("team/api",):
        notes.append("no scan is started")
    elif row.without:
        notes.append(f"{', '.join(row.without)} gets no message")
    if row.twice:
        notes.append("one comes twice")
    return "; ".join(notes)


# What breaks


def fails(
    state: str, error: str, times: int = ALWAYS, *, after: bool = False, about: str = ""
) -> Break:
    """Let attempts of a state fail, before or after they have had their effect.

    about: what is in the input of those that fail.
    """
    failures = itertools.repeat(error, times)

    def breaks(deployed: Engine) -> None:
        left, otherwise = iter(failures), deployed.attempting

        def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
            is_meant = attempt.state == state and about in json.dumps(attempt.input)
            failure = next(left, None) if is_meant else None
            if failure and not after:
                raise TaskFailure(failure)
            otherwise(attempt, perform)
            if failure:
                raise TaskFailure(failure)

        deployed.attempting = attempting

    return breaks


def answers(operation: str, answer: Answer, times: int = ALWAYS, *, about: str = "") -> Break:
    """Let AWS answer calls of an operation, all or those about something, in a way of its own."""

    def breaks(deployed: Engine) -> None:
        left = itertools.repeat(answer, times)

        def answering(body: str) -> dict[str, Any] | None:
            given = next(left, None) if about in body else None
            return given(body) if given else None

        deployed.answers[operation] = answering

    return breaks


def refuses(code: str, *, status: int = 400, message: str = "any") -> Answer:
    """Answer with an error."""

    def answer(_: str) -> None:
        raise Refusal(code, message, status=status)

    return answer


def is_silent(_: str) -> None:
    """Answer nothing in time."""
    raise ReadTimeoutError(endpoint_url="https://any.example")


def says(answer: dict[str, Any]) -> Answer:
    """Answer without an error."""
    return lambda _: answer


def of_both(*breaks: Break) -> Break:
    """Break several things."""

    def all_break(deployed: Engine) -> None:
        for each in breaks:
            each(deployed)

    return all_break


WRITES = ("PutItem", "UpdateItem", "TransactWriteItems", "BatchWriteItem")
REJECTED = {
    "FailedEntryCount": 1,
    "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "any"}],
}
THROTTLES = refuses("ThrottlingException")
IS_DOWN = refuses("ServerException", status=500)
DENIES = refuses("AccessDeniedException")
CUT_OFF = says({})


def webhook_answers(
    channel: Channel, status: int = 0, retry_after: str = "", times: int = ALWAYS
) -> Break:
    """Let a receiver answer with a status, as the real client takes it; 0: not at all."""

    exchange = SimpleNamespace(
        status=status,
        retry_after=retry_after,
        body=b"no",
        trouble="timeout",
        run_for=lambda _: None,
    )
    secret = WebhookSecret("https://any.example")
    posted = WebhookRequest(channel, secret, b"any", {})

    def refused() -> Exception | None:
        try:
            with mock.patch("notify_scan.webhooks.client.Exchange", return_value=exchange):
                WebhookClient(ssl.create_default_context()).post(posted)
        except Exception as error:  # noqa: BLE001 # the answer, as the client names it
            return error
        return None

    def breaks(deployed: Engine) -> None:
        left = itertools.repeat(None, times)
        deployed.receivers.trouble = lambda told: (
            refused() if told is channel and next(left, "none") is None else None
        )

    return breaks


def unprocessed_once(deployed: Engine) -> None:
    """Let BatchGetItem return nothing at first, and name all keys as not processed."""
    left = iter([None])

    def answering(body: str) -> dict[str, Any] | None:
        if next(left, "none") is not None:
            return None
        asked = json.loads(body[body.index("{") :])["RequestItems"]
        return {"Responses": {}, "UnprocessedKeys": asked}

    deployed.answers["dynamodb.BatchGetItem"] = answering


def lists_an_image(deployed: Engine) -> None:
    """Let ECR return an index of one image."""
    manifest = {
        "manifests": [
            {"digest": f"sha256:{1:064x}", "platform": {"os": "linux", "architecture": "arm64"}}
        ]
    }
    answer = {"images": [{"imageManifest": json.dumps(manifest)}]}
    answers("ecr.BatchGetImage", says(answer))(deployed)


def secret_is_deleted(deployed: Engine) -> None:
    """Delete the secret of Slack."""
    del deployed
    boto3.client("secretsmanager").delete_secret(
        SecretId="SLACK-secret", ForceDeleteWithoutRecovery=True
    )


def mend(deployed: Engine) -> None:
    """End every fault."""
    deployed.attempting = lambda _, perform: perform()
    deployed.answers.clear()
    deployed.receivers.trouble = lambda _: None
    secrets = boto3.client("secretsmanager")
    with contextlib.suppress(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name="SLACK-secret", SecretString=json.dumps(SECRETS[Channel.SLACK]))


# The rows


LAMBDA = {
    "Lambda.TooManyRequestsException": "throttled by Lambda",
    "Lambda.ServiceException": "error of Lambda",
    "Sandbox.Timedout": "killed, out of time",
    "Runtime.ExitError": "killed, out of memory",
    "Lambda.Unknown": "killed without a reason",
    "States.Timeout": "timed out",
}
KILLED = "Sandbox.Timedout"


def rows() -> Iterator[Row]:
    """Yield all rows, in the order of the definitions."""
    yield from _of_functions_of_runs()
    yield from _of_calls_of_runs()
    yield from _of_functions_of_scans()
    yield from _of_calls_of_scans()
    yield from _of_deliveries()
    yield from _of_digests()
    yield from _of_functions_of_events()


def _of_functions_of_runs() -> Iterator[Row]:
    for state, ends, kept in (
        ("ListRepositories", None, Kept.RUN),
        ("FindStaleImages", "RescanIncomplete", Kept.RERUN),
        ("StartImageScans", "RescanIncomplete", Kept.RERUN),
        ("RecordRepository", "RescanIncomplete", Kept.RERUN),
        ("SummarizeRescan", None, Kept.RUN),
    ):
        for error, retries in zip(LAMBDA, (30, 5, 2, 2, 2, 2), strict=True):
            yield Row(
                Begins.RUN,
                state,
                f"{LAMBDA[error]} (`{error}`), always",
                fails(state, error, about="team/api" if ends else ""),
                ends or error,
                retries,
                kept,
            )
        yield Row(
            Begins.RUN,
            state,
            f"killed after its work (`{KILLED}`), once",
            fails(state, KILLED, 1, after=True),
            None,
            1,
            Kept.NOTHING,
            twice=int(state == "SummarizeRescan"),
        )


def _of_calls_of_runs() -> Iterator[Row]:
    of_api = '"team/api"'
    failed, done = "RescanIncomplete", None

    def row(
        hop: str, fault: str, breaks: Break, end: str | None, retries: int, kept: Kept, **more: Any
    ) -> Row:
        return Row(Begins.RUN, hop, fault, breaks, end, retries, kept, **more)

    hop, operation = "ListRepositories → ECR", "ecr.DescribeRepositories"
    yield row(hop, "throttled, always", answers(operation, THROTTLES), "EcrThrottled", 15, Kept.RUN)
    yield row(
        hop, "unavailable, always", answers(operation, IS_DOWN), "EcrUnavailable", 15, Kept.RUN
    )
    yield row(hop, "denied", answers(operation, DENIES), "AccessDenied", 0, Kept.RUN)
    yield row(
        hop, "answer cut off, always", answers(operation, CUT_OFF), "EcrUnavailable", 15, Kept.RUN
    )
    yield row(
        "ListRepositories → S3",
        "unavailable, always",
        answers("s3.PutObject", refuses("SlowDown", status=503)),
        "LedgerUnavailable",
        3,
        Kept.RUN,
    )
    hop, operation = "FindStaleImages → ECR listing", "ecr.DescribeImages"
    for fault, answer, end, retries, kept in (
        ("throttled, always", THROTTLES, done, 15, Kept.NEXT_RUN),
        ("unavailable, always", IS_DOWN, failed, 15, Kept.RERUN),
        ("no answer, always", is_silent, failed, 15, Kept.RERUN),
        ("denied", DENIES, failed, 0, Kept.RERUN),
        ("answer cut off, always", CUT_OFF, failed, 15, Kept.RERUN),
        ("another refusal", refuses("KmsException"), failed, 0, Kept.RERUN),
    ):
        yield row(hop, fault, answers(operation, answer, about=of_api), end, retries, kept)
    yield row(
        hop,
        "repository deleted",
        answers(operation, refuses("RepositoryNotFoundException"), about=of_api),
        done,
        0,
        Kept.NOTHING,
        without=("team/api",),
    )
    hop, operation = "FindStaleImages → ECR findings", "ecr.DescribeImageScanFindings"
    for fault, answer, end, retries, kept in (
        ("throttled, always", THROTTLES, done, 15, Kept.NEXT_RUN),
        ("unavailable, always", IS_DOWN, failed, 15, Kept.RERUN),
        ("denied", DENIES, failed, 0, Kept.RERUN),
        ("answer cut off, always", CUT_OFF, failed, 15, Kept.RERUN),
    ):
        yield row(hop, fault, answers(operation, answer, about=of_api), end, retries, kept)
    yield row(
        hop,
        "images deleted",
        answers(operation, refuses("ImageNotFoundException"), about=of_api),
        done,
        0,
        Kept.NOTHING,
        without=("team/api",),
    )
    hop = "FindStaleImages → DynamoDB"
    down = refuses("InternalServerError", status=500)
    for operation in ("dynamodb.Query", "dynamodb.UpdateItem"):
        name = operation.partition(".")[2]
        yield row(
            hop,
            f"{name} unavailable, always",
            answers(operation, down, about="repository#"),
            done,
            0,
            Kept.NOTHING,
        )
    hop, operation = "StartImageScans → ECR", "ecr.StartImageScan"
    for fault, answer, end, retries, kept in (
        ("throttled, always", THROTTLES, done, 15, Kept.NEXT_RUN),
        ("unavailable, always", IS_DOWN, failed, 15, Kept.RERUN),
        ("denied", DENIES, failed, 0, Kept.RERUN),
        ("another refusal", refuses("KmsException"), failed, 0, Kept.RERUN),
        (
            "quota of the registry used up",
            refuses("LimitExceededException", message="quota"),
            done,
            0,
            Kept.NEXT_RUN,
        ),
    ):
        yield row(hop, fault, answers(operation, answer, about=of_api), end, retries, kept)
    for fault, code, message in (
        ("images deleted", "ImageNotFoundException", "any"),
        ("images scanned meanwhile", "LimitExceededException", "The scan quota per image"),
        ("images that cannot be scanned", "UnsupportedImageTypeException", "any"),
    ):
        yield row(
            hop,
            fault,
            answers(operation, refuses(code, message=message), about=of_api),
            done,
            0,
            Kept.NOTHING,
            without=("team/api",),
        )
    yield row(
        "RecordRepository → DynamoDB",
        "unavailable, always",
        answers("dynamodb.PutItem", down, about="repository#team/api"),
        failed,
        3,
        Kept.RERUN,
    )
    for error, retries in (("DynamoDB.InternalServerError", 4), ("States.Timeout", 0)):
        yield row(
            "RecordFailure → DynamoDB",
            f"`{error}`, always, after a refusal of ECR",
            of_both(
                answers("ecr.DescribeImages", DENIES, about=of_api), fails("RecordFailure", error)
            ),
            failed,
            retries,
            Kept.RERUN,
        )
    for fault, operation, answer, about in (
        ("Query unavailable, always", "dynamodb.Query", down, "run#"),
        ("unavailable, always", "s3.PutObject", refuses("SlowDown", status=503), "summary"),
    ):
        service = {"dynamodb": "DynamoDB", "s3": "S3"}[operation.partition(".")[0]]
        yield row(
            f"SummarizeRescan → {service}",
            fault,
            answers(operation, answer, about=about),
            "LedgerUnavailable",
            3,
            Kept.RUN,
        )
    hop, operation = "SummarizeRescan → EventBridge", "eventbridge.PutEvents"
    rejected = says(REJECTED)
    yield row(hop, "entry failed, once", answers(operation, rejected, 1), done, 1, Kept.NOTHING)
    yield row(
        hop, "entry failed, always", answers(operation, rejected), "EventRefused", 3, Kept.RUN
    )
    yield row(hop, "denied", answers(operation, DENIES), "AccessDeniedException", 0, Kept.RUN)


def _of_functions_of_scans() -> Iterator[Row]:
    for state, retries in (
        ("InterpretEvent", (8, 5, 2, 2, 2, 2)),
        ("ComposeNotification", (8, 5, 2, 2, 2, 2)),
    ):
        for error, attempts in zip(LAMBDA, retries, strict=True):
            yield Row(
                Begins.SCAN,
                state,
                f"{LAMBDA[error]} (`{error}`), always",
                fails(state, error),
                error,
                attempts,
                Kept.EVENT,
            )
        yield Row(
            Begins.SCAN,
            state,
            f"killed after its work (`{KILLED}`), once",
            fails(state, KILLED, 1, after=True),
            None,
            1,
            Kept.NOTHING,
        )
    for error, attempts in (
        ("Lambda.TooManyRequestsException", 8),
        ("Lambda.ServiceException", 5),
        (KILLED, 0),
        ("States.Timeout", 0),
    ):
        yield Row(
            Begins.SCAN,
            "PostToWebhook",
            f"{LAMBDA[error]} (`{error}`), always",
            fails("PostToWebhook", error, about='"channel": "SLACK"'),
            None,
            attempts,
            Kept.MESSAGE,
        )
    yield Row(
        Begins.SCAN,
        "PostToWebhook",
        f"killed after its work (`{KILLED}`), once",
        fails("PostToWebhook", KILLED, 1, after=True, about='"channel": "SLACK"'),
        None,
        0,
        Kept.MESSAGE,
        twice=1,
    )


def _of_calls_of_scans() -> Iterator[Row]:
    done = None

    def row(
        hop: str, fault: str, breaks: Break, end: str | None, retries: int, kept: Kept, **more: Any
    ) -> Row:
        return Row(Begins.SCAN, hop, fault, breaks, end, retries, kept, **more)

    down = "DynamoDB.InternalServerError"
    for state, retries in (
        ("NoteExecution", 2),
        ("RecordScan", 4),
        ("NoteDeliveries", 2),
        ("ClaimDelivery", 4),
        ("MarkDelivered", 4),
        ("RecordDelivery", 4),
        ("ForgetExecution", 4),
    ):
        hop = f"{state} → DynamoDB"
        yield row(
            hop, f"unavailable (`{down}`), always", fails(state, down), done, retries, Kept.NOTHING
        )
    yield row(
        "RecordScan → DynamoDB",
        "a newer scan is known",
        fails("RecordScan", "DynamoDB.ConditionalCheckFailedException"),
        done,
        0,
        Kept.NOTHING,
    )
    yield row(
        "MarkDelivered → DynamoDB",
        "timed out (`States.Timeout`), always",
        fails("MarkDelivered", "States.Timeout"),
        done,
        4,
        Kept.NOTHING,
    )
    hop, operation = "ComposeNotification → ECR", "ecr.DescribeImageScanFindings"
    for fault, answer, retries in (
        ("throttled, always", THROTTLES, 6),
        ("unavailable, always", IS_DOWN, 6),
        ("no answer, always", is_silent, 6),
        ("answer cut off, always", CUT_OFF, 6),
        ("denied", DENIES, 0),
        ("image deleted", refuses("ImageNotFoundException"), 0),
        ("repository deleted", refuses("RepositoryNotFoundException"), 0),
        ("scan no longer kept", refuses("ScanNotFoundException"), 0),
    ):
        yield row(hop, fault, answers(operation, answer), done, retries, Kept.NOTHING)
    hop = "ComposeNotification → DynamoDB"
    yield row(
        hop,
        "BatchGetItem unavailable, always",
        answers("dynamodb.BatchGetItem", refuses("InternalServerError", status=500)),
        done,
        6,
        Kept.NOTHING,
        without=("PAGERDUTY",),
    )
    yield row(
        hop,
        "BatchGetItem leaves keys out, once",
        unprocessed_once,
        done,
        0,
        Kept.NOTHING,
    )
    yield row(
        hop,
        "TransactWriteItems unavailable, always",
        answers("dynamodb.TransactWriteItems", refuses("InternalServerError", status=500)),
        done,
        6,
        Kept.NOTHING,
        without=("PAGERDUTY",),
    )
    conflict = refuses("TransactionCanceledException", message="[TransactionConflict]")
    yield row(
        hop,
        "conflict of transactions, once",
        answers("dynamodb.TransactWriteItems", conflict, 1),
        done,
        1,
        Kept.NOTHING,
    )
    yield row(
        hop,
        "conflict of transactions, always",
        answers("dynamodb.TransactWriteItems", conflict),
        "BaselineMoved",
        6,
        Kept.EVENT,
    )
    for fault, answer in (
        ("unavailable, always", refuses("SlowDown", status=503)),
        ("denied", refuses("AccessDenied", status=403)),
    ):
        yield row(
            "ComposeNotification → S3",
            fault,
            answers("s3.GetObject", answer),
            done,
            0,
            Kept.NOTHING,
        )


def _of_deliveries() -> Iterator[Row]:
    done = None

    def row(
        hop: str, fault: str, breaks: Break, end: str | None, retries: int, kept: Kept, **more: Any
    ) -> Row:
        return Row(Begins.SCAN, hop, fault, breaks, end, retries, kept, **more)

    hop = "PublishToTopic → SNS"
    for fault, code, status in (
        ("throttled, always", "Throttled", 429),
        ("unavailable, always", "InternalError", 500),
        ("topic deleted", "NotFound", 404),
        ("denied", "AuthorizationError", 403),
        ("key of the topic denied", "KMSAccessDenied", 400),
    ):
        breaks = answers("sns.Publish", refuses(code, status=status), about="NotificationTopic")
        yield row(hop, fault, breaks, done, 4, Kept.MESSAGE)
    yield row(
        hop,
        "timed out (`States.Timeout`), always",
        fails("PublishToTopic", "States.Timeout", about='"channel": "SNS"'),
        done,
        0,
        Kept.MESSAGE,
    )
    yield row(
        hop,
        "no answer, once, to what was published",
        fails("PublishToTopic", "SNS.SdkClientException", 1, after=True),
        done,
        1,
        Kept.NOTHING,
        twice=1,
    )
    hop = "PutEvent → EventBridge"
    for fault, error in (
        ("unavailable, always", "EventBridge.InternalException"),
        ("bus deleted", "EventBridge.ResourceNotFoundException"),
        ("throttled, always", "EventBridge.ThrottlingException"),
    ):
        yield row(hop, fault, fails("PutEvent", error), done, 4, Kept.MESSAGE)
    rejected = answers("eventbridge.PutEvents", says({"FailedEntryCount": 1, "Entries": [{}]}))
    yield row(hop, "entry failed, always", rejected, done, 4, Kept.MESSAGE)
    hop = "PostToWebhook → receiver"
    for fault, status, wait, retries in (
        ("404", 404, "", 0),
        ("redirected (302)", 302, "", 0),
        ("500, always", 500, "", 4),
        ("408, always", 408, "", 4),
        ("no answer, always", 0, "", 4),
        ("429 for 5 s, always", 429, "5", 3),
        ("429 for 45 s, always", 429, "45", 2),
        ("429 for an hour", 429, "3600", 0),
    ):
        yield row(
            hop, fault, webhook_answers(Channel.SLACK, status, wait), done, retries, Kept.MESSAGE
        )
    yield row(
        hop,
        "500, twice",
        webhook_answers(Channel.SLACK, 500, times=2),
        done,
        2,
        Kept.NOTHING,
    )
    yield row(
        "PostToWebhook → Secrets Manager",
        "secret deleted",
        secret_is_deleted,
        done,
        0,
        Kept.MESSAGE,
    )
    refused_of_sns = answers("sns.Publish", refuses("NotFound"), about="NotificationTopic")
    for times, end, retries, kept in (
        (2, done, 2, Kept.MESSAGE),
        (ALWAYS, "DeliveryNotKept", 4, Kept.EXECUTION),
    ):
        yield row(
            "KeepUndelivered → SQS",
            f"refuses what no topic takes, {'always' if times == ALWAYS else 'twice'}",
            of_both(refused_of_sns, answers("sqs.SendMessage", refuses("KMS.AccessDenied"), times)),
            end,
            retries,
            kept,
        )
    yield row(
        "MarkKept → DynamoDB",
        "unavailable, always",
        of_both(refused_of_sns, fails("MarkKept", "DynamoDB.InternalServerError")),
        done,
        4,
        Kept.MESSAGE,
    )
    unusable = fails("InterpretEvent", "SettingsError")
    for times, retries, kept in ((2, 2, Kept.EVENT), (ALWAYS, 4, Kept.EXECUTION)):
        yield row(
            "KeepEvent → SQS",
            f"refuses what cannot be interpreted, {'always' if times == ALWAYS else 'twice'}",
            of_both(unusable, answers("sqs.SendMessage", refuses("KMS.AccessDenied"), times)),
            "SettingsError" if times == 2 else "SQS.SdkClientException",
            retries,
            kept,
        )
    yield row(
        "ForgetKeptEvent → DynamoDB",
        "unavailable, always",
        of_both(unusable, fails("ForgetKeptEvent", "DynamoDB.InternalServerError")),
        "SettingsError",
        4,
        Kept.EVENT,
    )


def _of_digests() -> Iterator[Row]:
    def row(
        hop: str, fault: str, breaks: Break, end: str | None, retries: int, kept: Kept, **more: Any
    ) -> Row:
        return Row(Begins.DIGEST, hop, fault, breaks, end, retries, kept, **more)

    for state in ("RestartUnfinished", "ComposeDigest", "ForgetDigest"):
        for error, retries in zip(LAMBDA, (30, 5, 2, 2, 2, 2), strict=True):
            yield row(
                state,
                f"{LAMBDA[error]} (`{error}`), always",
                fails(state, error),
                error,
                retries,
                Kept.CHANGES,
                sent=3 * (state == "ForgetDigest"),
            )
        yield row(
            state,
            f"killed after its work (`{KILLED}`), once",
            fails(state, KILLED, 1, after=True),
            None,
            1,
            Kept.NOTHING,
        )
    down = refuses("InternalServerError", status=500)
    for hop, operation, about in (
        ("RestartUnfinished → DynamoDB", "dynamodb.Query", "unfinished"),
        ("ComposeDigest → DynamoDB", "dynamodb.Query", "digest#"),
        ("ComposeDigest → DynamoDB, digest in progress", "dynamodb.PutItem", "digest-under-way"),
        ("ComposeDigest → S3", "s3.PutObject", "digests/"),
        ("ForgetDigest → S3", "s3.GetObject", "digests/"),
        ("ForgetDigest → DynamoDB", "dynamodb.DeleteItem", "digest#"),
        ("ForgetDigest → DynamoDB, claims", "dynamodb.BatchGetItem", "delivery#"),
    ):
        yield row(
            hop,
            "unavailable, always",
            answers(operation, down, about=about),
            "LedgerUnavailable",
            9,
            Kept.CHANGES,
            sent=3 * hop.startswith("ForgetDigest"),
        )
    hop = "StartNotifyScan → Step Functions"
    for error, times, end, retries, kept in (
        ("StepFunctions.ExecutionLimitExceededException", ALWAYS, True, 8, Kept.CHANGES),
        ("StepFunctions.StateMachineDoesNotExistException", ALWAYS, True, 8, Kept.CHANGES),
        ("StepFunctions.ThrottlingException", 2, False, 2, Kept.NOTHING),
    ):
        yield row(
            hop,
            f"`{error}`, {'always' if times == ALWAYS else 'twice'}",
            fails("StartNotifyScan", error, times),
            error if end else None,
            retries,
            kept,
        )
    yield row(
        hop,
        "no answer, once, to what was started",
        fails("StartNotifyScan", "StepFunctions.SdkClientException", 1, after=True),
        None,
        1,
        Kept.NOTHING,
    )
    yield row(
        "ForgetDigest → NotifyScan",
        "a message is not delivered, and not kept",
        of_both(
            fails("PublishToTopic", "States.Timeout"),
            answers("sqs.SendMessage", refuses("KMS.AccessDenied")),
        ),
        "DigestNotDelivered",
        20,
        Kept.CHANGES,
        sent=2,
    )
    yield row(
        "PublishToTopic → SNS, of a digest",
        "topic deleted",
        answers("sns.Publish", refuses("NotFound"), about="NotificationTopic"),
        None,
        4,
        Kept.MESSAGE,
    )


def _of_functions_of_events() -> Iterator[Row]:
    def row(hop: str, fault: str, breaks: Break, end: str | None, kept: Kept, **more: Any) -> Row:
        return Row(Begins.EVENT, hop, fault, breaks, end, 0, kept, **more)

    hop, operation = "RecheckImages → ECR", "ecr.DescribeImageScanFindings"
    for fault, answer, kept in (
        ("throttled, always", THROTTLES, Kept.RETURNS),
        ("unavailable, always", IS_DOWN, Kept.RETURNS),
        ("denied", DENIES, Kept.RETURNS),
        ("image deleted", refuses("ImageNotFoundException"), Kept.NOTHING),
    ):
        yield row(hop, fault, answers(operation, answer), None, kept)
    rejected = answers("eventbridge.PutEvents", says(REJECTED))
    hop = "RecheckImages → EventBridge"
    yield row(hop, "entry failed, always", rejected, "EventRefused", Kept.RETURNS)
    hop, operation = "RecordPlatforms → ECR", "ecr.BatchGetImage"
    for fault, answer, end, kept in (
        ("throttled, always", THROTTLES, "EcrThrottled", Kept.DEAD_LETTER),
        ("unavailable, always", IS_DOWN, "EcrUnavailable", Kept.DEAD_LETTER),
        ("denied", DENIES, "AccessDenied", Kept.DEAD_LETTER),
        ("answer without an image", says({"images": []}), "UnreadableIndex", Kept.DEAD_LETTER),
        ("index deleted", refuses("ImageNotFoundException"), None, Kept.NOTHING),
    ):
        yield row(hop, fault, answers(operation, answer), end, kept)
    down = refuses("InternalServerError", status=500)
    yield row(
        "RecordPlatforms → DynamoDB",
        "unavailable, always",
        of_both(*(answers(f"dynamodb.{name}", down) for name in WRITES), lists_an_image),
        "LedgerUnavailable",
        Kept.DEAD_LETTER,
    )
