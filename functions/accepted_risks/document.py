"""The document of accepted risks, in the run bucket, and what the ledger remembers of it.

partition key ``accepted-risks``; sort key ``in-force`` for the last good document, and
``notice#<notice>`` for what people were told.
"""

import functools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from accepted_risks.risks import (
    DOCUMENT,
    MOST_BYTES,
    TOO_LARGE,
    AcceptedRisks,
    UnusableAcceptedRisks,
)
from ledger.image_records import CLIENT_CONFIG, KEYS_A_CALL
from runtime import settings
from runtime.log import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

LOOKED_UP_EVERY = timedelta(seconds=300)

SOMEBODY_ELSE = "somebody else"  # no event has such a name
_ABSENT = '"absent"'  # stands for the ETag where there is no document
_NOT_MODIFIED = 304


@dataclass(frozen=True)
class Refusal:
    """Why the document that is in the bucket is not in force.

    id: the same as long as the document is.
    """

    id: str
    sentence: str


@dataclass(frozen=True)
class RisksInForce:
    """What is accepted; with a refusal, it is what was accepted before the document went bad."""

    risks: AcceptedRisks = field(default_factory=AcceptedRisks)
    refusal: Refusal | None = None


class AcceptedRisksDocument:
    """The document, remembered from one invocation to the next."""

    def __init__(self, s3: "S3Client", dynamodb: "DynamoDBClient", bucket: str, table: str) -> None:
        self._s3 = s3
        self._dynamodb = dynamodb
        self.bucket = bucket
        self._table = table
        self._claimed: dict[str, str] = {}  # by which event, as far as this container knows
        self._in_force = RisksInForce()
        self._last_good: AcceptedRisks | None = None
        # The ETag of the document with which all is done, in the ledger too; none while something
        # is left to do, so that the next look reads it again.
        self._done: str | None = None
        self._looked_up_at: datetime | None = None

    def in_force(self, now: datetime) -> RisksInForce:
        """Tell what is accepted, as of a few minutes ago.

        Without an answer from AWS, what is remembered stays in force: rather a message too many
        than one too few.
        """
        if self._looked_up_at is None or now - self._looked_up_at >= LOOKED_UP_EVERY:
            self._looked_up_at = now
            try:
                self._look_up()
            except (ClientError, BotoCoreError) as error:
                logger.warning("accepted risks cannot be looked up", extra={"error": str(error)})
        return self._in_force

    def unclaimed(self, notices: Iterable[str], *, event: str, most: int) -> list[str]:
        """Name the first of some notices that no other event has claimed, so that these can be.

        When the table does not answer, there are none.
        """
        found: list[str] = []
        try:
            for some in batched(notices, KEYS_A_CALL, strict=False):
                self._recall(some)
                found += [each for each in some if self._claimed.get(each, event) == event]
                if len(found) >= most:
                    break
        except (ClientError, BotoCoreError) as error:
            logger.warning("notices cannot be looked up", extra={"error": str(error)})
            return []
        return found[:most]

    def claim(self, notice: str, *, event: str, expires_at: int) -> bool:
        """Tell whether it falls to an event to bring a notice to people, once and for all.

        A retry of the same event brings it again. When the table does not answer, none does.
        """
        if self._claimed.get(notice, event) != event:
            return False
        item = {"event": {"S": event}, "expires_at": {"N": str(expires_at)}}
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={**_key(f"notice#{notice}"), **item},
                ConditionExpression="attribute_not_exists(pk) OR #event = :event",
                ExpressionAttributeNames={"#event": "event"},
                ExpressionAttributeValues={":event": {"S": event}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            self._claimed[notice] = SOMEBODY_ELSE
            return False
        except (ClientError, BotoCoreError) as error:
            logger.warning("a notice cannot be claimed", extra={"error": str(error)})
            return False
        self._claimed[notice] = event
        return True

    def _recall(self, notices: Iterable[str]) -> None:
        """Learn who has claimed notices; what DynamoDB leaves out, or has not yet, claim finds."""
        keys = [_key(f"notice#{each}") for each in notices if each not in self._claimed]
        if not keys:
            return
        answer = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": keys}})
        for item in answer["Responses"].get(self._table, []):
            self._claimed[item["sk"]["S"].removeprefix("notice#")] = item["event"]["S"]

    def _look_up(self) -> None:
        try:
            answer = self._s3.get_object(
                Bucket=self.bucket, Key=DOCUMENT, IfNoneMatch=self._done or _ABSENT
            )
        except self._s3.exceptions.NoSuchKey:
            self._forget()
            return
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == _NOT_MODIFIED:
                return
            raise
        etag = answer["ETag"]
        self._done = None
        try:
            document = _body(answer)
            self._take(AcceptedRisks.read(document), document.decode(), etag)
        except UnusableAcceptedRisks as error:
            self._fall_back(Refusal(etag.strip('"'), str(error)))
        self._done = etag

    def _forget(self) -> None:
        """Accept nothing: whoever deletes the document wants that."""
        self._last_good = AcceptedRisks()
        self._in_force = RisksInForce()
        if self._done != _ABSENT:
            self._done = None
            self._dynamodb.delete_item(TableName=self._table, Key=_key("in-force"))
            self._done = _ABSENT

    def _take(self, risks: AcceptedRisks, text: str, etag: str) -> None:
        """Put a good document in force, and keep it for the containers to come."""
        self._last_good = risks
        self._in_force = RisksInForce(risks)
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={**_key("in-force"), "text": {"S": text}, "etag": {"S": etag}},
                ConditionExpression="attribute_not_exists(pk) OR etag <> :etag",
                ExpressionAttributeValues={":etag": {"S": etag}},
            )

    def _fall_back(self, refusal: Refusal) -> None:
        """Leave in force what was, as far as it is known."""
        self._in_force = RisksInForce(self._last_good or AcceptedRisks(), refusal)
        if self._last_good is None:
            self._last_good = self._kept()
            self._in_force = RisksInForce(self._last_good, refusal)

    def _kept(self) -> AcceptedRisks:
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=_key("in-force"), ConsistentRead=True
        )
        # What an older version of ecr-rescan took for good may have become bad.
        with suppress(UnusableAcceptedRisks, KeyError):
            return AcceptedRisks.read(answer["Item"]["text"]["S"])
        return AcceptedRisks()


@functools.cache
def accepted_risks_document() -> AcceptedRisksDocument:
    """Make the adapter of the stack's bucket and table."""
    return AcceptedRisksDocument(
        boto3.client("s3", config=CLIENT_CONFIG),
        boto3.client("dynamodb", config=CLIENT_CONFIG),
        settings.text("RUN_BUCKET"),
        settings.text("LEDGER_TABLE"),
    )


def _body(answer: "GetObjectOutputTypeDef") -> bytes:
    """Read a document, unless it would fill the memory of the function."""
    if answer["ContentLength"] > MOST_BYTES:
        raise UnusableAcceptedRisks(TOO_LARGE)
    return answer["Body"].read()


def _key(sort_key: str) -> dict[str, Any]:
    return {"pk": {"S": "accepted-risks"}, "sk": {"S": sort_key}}
