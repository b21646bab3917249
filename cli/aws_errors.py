"""What a command says when AWS refuses, does not answer, or does not know who is asking."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.model import OperationModel

from cli.exits import CommandError
from cli.shown_commands import aws_of_profile
from ledger import errors as of_the_ledger
from registry import errors as of_the_registry
from reporting.text import visible
from send_digest.notify_scan_executions import NotifyScanNotStarted

_NOT_ALLOWED = {
    "403",  # of HeadObject, whose answer has no body
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
# How AWS words a denial, in every service that says more than "Access Denied".
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)(?: on resource:? (\S+))?")
_EXPIRED_SSO = (SSOTokenLoadError, TokenRetrievalError, UnauthorizedSSOTokenError)
_OF_AWS = (BotoCoreError, ClientError)
# Errors of the functions' adapters, each with the error of AWS as its cause, or the cause of that.
_OF_ADAPTERS: tuple[type[Exception], ...] = (
    NotifyScanNotStarted,
    *(
        each
        for module in (of_the_ledger, of_the_registry)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ),
)
_EXPLAINED: tuple[type[Exception], ...] = (*_OF_AWS, *_OF_ADAPTERS)
# Where IAM has another name than the API.
_IAM = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "monitoring": "cloudwatch",
    "s3:DeleteObjects": "s3:DeleteObjectVersion",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


class NotAllowed(CommandError):
    """A policy does not let the operator do this. action: as IAM names it."""

    def __init__(self, action: str, resource: str = "") -> None:
        where = f" on {visible(resource)}" if resource else ""
        super().__init__(
            f"Not allowed: {action}{where}. docs/cli.md lists the permissions of each command."
        )
        self.action = action


@contextmanager
def in_a_sentence(profile: str | None = None) -> Iterator[None]:
    """Raise CommandError instead of an error of AWS, of the ledger, or of the registry."""
    try:
        yield
    except _EXPLAINED as error:
        raise command_error(error, profile) from error


def command_error(error: Exception, profile: str | None = None) -> CommandError:
    """Say what an error of AWS means, and what to do."""
    if isinstance(error, of_the_registry.PageTokenRefused):
        what = "ECR ended a list before its last page: run the command again."
        return CommandError(f"{what} {visible(str(error))}")
    if isinstance(error, _OF_ADAPTERS) and isinstance(error.__cause__, _OF_AWS):
        return command_error(error.__cause__, profile)
    if isinstance(error, _EXPIRED_SSO):
        return _expired(profile)
    match error:
        case ClientError():
            return _of_an_answer(error, profile)
        case NoCredentialsError() | PartialCredentialsError():
            return CommandError(f"No AWS credentials: run {_login(profile)}, or set AWS_PROFILE.")
        case NoRegionError():
            return CommandError("No Region: give --region, or set AWS_REGION.")
        case ProfileNotFound():
            listing = aws_of_profile(None, "configure list-profiles")
            return CommandError(f"{visible(str(error))}: {listing} lists yours.")
        case ConnectionError() | HTTPClientError():
            return CommandError(f"AWS did not answer: {visible(str(error))}")
    return CommandError(visible(str(error)))


def note_action(parsed: dict[str, Any], model: OperationModel, **_: object) -> None:
    """Add the action to the answer of a refused call: S3 says only "Access Denied".

    A handler of botocore's event after-call.
    """
    if error := parsed.get("Error"):
        error["Action"] = action_of(model)


def action_of(model: OperationModel) -> str:
    """Return the action that a call needs, as IAM names it."""
    service, operation = model.service_model.signing_name, model.name
    return _IAM.get(f"{service}:{operation}") or f"{_IAM.get(service, service)}:{operation}"


def _of_an_answer(error: ClientError, profile: str | None) -> CommandError:
    answer: dict[str, str] = {**error.response.get("Error", {})}  # type: ignore[dict-item]
    code, text = answer.get("Code", ""), answer.get("Message", "")
    if (found := _ACTION.search(text)) or code in _NOT_ALLOWED:
        named = found.groups(default="") if found else (answer.get("Action", error.operation_name),)
        return NotAllowed(*named)
    if code in _EXPIRED:
        return _expired(profile)
    if code in _UNKNOWN:
        return CommandError(
            f"AWS does not know these credentials: run {_login(profile)}, or set AWS_PROFILE."
        )
    return CommandError(f"{error.operation_name}: {visible(f'{code}: {text}')}")


def _expired(profile: str | None) -> CommandError:
    session = f"The session of profile {profile}" if profile else "Your AWS session"
    return CommandError(f"{session} has expired: {_login(profile)}")


def _login(profile: str | None) -> str:
    return aws_of_profile(profile, "sso login")
