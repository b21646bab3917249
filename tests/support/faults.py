"""What every fault at every hop comes to, as rows: what happens, what is seen, retried and kept.

tests/workflow/test_fault_matrix.py runs each row with the real definitions and handlers, and
`make docs` writes the rows into docs/faults.md.
"""

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import boto3
import urllib3
from botocore.exceptions import ReadTimeoutError

from local.cloud.moto_internals import Attempt, TaskFailure
from notify_scan.webhooks.client import WebhookClient
from notify_scan.webhooks.request import WebhookRequest
from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import Channel
from tests.support.engine import Answer, Engine, Refusal

type Break = Callable[[Engine], None]
ALWAYS = 10_000  # times, more than anything is tried


class Begins(StrEnum):
    """What a row begins with."""

    RUN = "RescanRegistry"
    SCAN = "NotifyScan"
    DIGEST = "SendDigest"


class Kept(StrEnum):
    """Where it is what a fault has held up, and what brings it on its way again."""

    NOTHING = "nothing is missing"
    RERUN = "the repository is named in the cause; the rerun does it"
    NEXT_RUN = "the images are deferred; the next run does them"
    RUN = "what is not done yet; the next run does it"
    EVENT = "the event, in `Undelivered`; `make redeliver`"
    MESSAGE = "the message, in `Undelivered`; `make redeliver`"
    CHANGES = "the changes, in the ledger; the next digest has them"


@dataclass(frozen=True)
class Row:
    """One fault at one hop.

    error: of the execution; None if it succeeds.
    state, retries: how often which state was tried again.
    without: what does not come though nothing is lost: repositories without a scan, channels
    without a message.
    twice: how many messages or events came twice.
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

    @property
    def state(self) -> str:
        """The state of the hop."""
        return self.hop.partition(" → ")[0]

    @property
    def name(self) -> str:
        """What the test and the row of the table are called."""
        return f"{self.hop}: {self.fault}"


# What breaks


def fails(
    state: str, error: str, times: int = ALWAYS, *, after: bool = False, about: str = ""
) -> Break:
    """Let attempts of a state fail, before or after they have had their effect.

    about: what is in the input of those that fail.
    """
    failures = itertools.repeat(error, times)

    def breaks(deployed: Engine) -> None:
        left = iter(failures)

        def attempting(attempt: Attempt, perform: Callable[[], None]) -> None:
            is_meant = attempt.state == state and about in json.dumps(attempt.input)
            failure = next(left, None) if is_meant else None
            if failure and not after:
                raise TaskFailure(failure)
            perform()
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


THROTTLES = refuses("ThrottlingException")
IS_DOWN = refuses("ServerException", status=500)
DENIES = refuses("AccessDeniedException")
CUT_OFF = says({})


def webhook_answers(
    channel: Channel, status: int = 0, retry_after: str = "", times: int = ALWAYS
) -> Break:
    """Let a receiver answer with a status, as the real client takes it; 0: not at all."""

    def request(*_: Any, **named: Any) -> Any:
        if not status:
            raise urllib3.exceptions.ReadTimeoutError(None, "any", "any")  # type: ignore[arg-type]
        return urllib3.HTTPResponse(
            io.BytesIO(b"no"),
            status=status,
            headers={"Retry-After": retry_after},
            preload_content=named.get("preload_content", True),
        )

    pool: Any = type("Pool", (), {"request": staticmethod(request)})()
    posted = WebhookRequest(channel, WebhookSecret("https://any.example"), b"any", {})

    def refused() -> Exception | None:
        try:
            WebhookClient(pool).post(posted)
        except Exception as error:  # noqa: BLE001 # the answer, as the client names it
            return error
        return None

    def breaks(deployed: Engine) -> None:
        left = itertools.repeat(None, times)
        deployed.receivers.trouble = lambda told: (
            refused() if told is channel and next(left, "none") is None else None
        )

    return breaks


def secret_is_deleted(deployed: Engine) -> None:
    """Delete the secret of Slack."""
    del deployed
    boto3.client("secretsmanager").delete_secret(
        SecretId="SLACK-secret", ForceDeleteWithoutRecovery=True
    )


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
    rejected = says(
        {
            "FailedEntryCount": 1,
            "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "any"}],
        }
    )
    yield row(hop, "entry failed, once", answers(operation, rejected, 1), done, 1, Kept.NOTHING)
    yield row(
        hop, "entry failed, always", answers(operation, rejected), "EventRefused", 3, Kept.RUN
    )
    yield row(hop, "denied", answers(operation, DENIES), "AccessDeniedException", 0, Kept.RUN)
