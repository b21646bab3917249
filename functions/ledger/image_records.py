"""What is known of each image: its newest scan, the run that started one, and its baseline.

Partition key ``repository#<name>``, sort key ``image#<image digest>``; ``tag#<tag>`` names the
image that had a tag last. The state machine NotifyScan writes scans itself (RecordScan), so its
definition shares the names of the attributes.
"""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import batched
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ledger.errors import BaselineMoved, LedgerUnavailable
from runtime import settings
from runtime.messages import Json, decode, encode, formerly

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# Whoever asks can go on without an answer, and must not wait for one for long.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=16,
)
KEYS_A_CALL = 100  # the most that BatchGetItem takes
# What says when an image was scanned. To read all attributes of a thousand takes twice the time.
_SCANS = ("sk", "last_scan", "started_at", "started_by")


@dataclass(frozen=True)
class RecordedScan:
    """The newest result of an image, from an event or from ECR's answer.

    scanned_at: when it ended; of a scan for which ECR tells no time, when ECR was asked.
    status: as ECR or Amazon Inspector names it.
    severities: findings by severity. other: findings that are counted in a total alone.
    """

    scanned_at: datetime
    status: str
    scan_type: str
    severities: dict[str, int] = field(default_factory=dict)
    other: int = 0


@dataclass(frozen=True)
class ImageState:
    """How an image stands: what the next report on it is compared with.

    counts: findings by severity, of the last scan that came to its end.
    exceeded: the severities that were above their threshold.
    failed: whether the last scan failed.
    """

    counts: dict[str, int] = field(default_factory=dict)
    exceeded: tuple[str, ...] = ()
    failed: bool = False

    @property
    def is_alarm(self) -> bool:
        """Tell whether somebody must act."""
        return self.failed or bool(self.exceeded)


@dataclass(frozen=True)
class Note:
    """A change of an image that was noted.

    event_id: what brought it. Whoever works on the same event again compares with the same
        `before` as the first time, and comes to the same message.
    before, before_notified_at: what it was compared with, and since when people knew that.
    """

    event_id: str
    noted_at: datetime
    before: ImageState | None
    before_notified_at: datetime = field(metadata=formerly("before_told_at"))


@dataclass(frozen=True)
class Baseline:
    """How an image stood when people were told, or deliberately not told, of a change.

    notified_at: when people were last told, or the image was first seen.
    revision: how many baselines the image has had.
    notes: the last few changes, the newest first.
    """

    image_state: ImageState = field(metadata=formerly("standing"))
    notified_at: datetime = field(metadata=formerly("told_at"))
    revision: int
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class ImageRecord:
    """One image, as far as the ledger knows it.

    started_at, started_by: of the newest scan that a run has started, and the name of that run.
    """

    image_digest: str
    last_scan: RecordedScan | None = None
    image_tags: tuple[str, ...] = ()
    started_at: datetime | None = None
    started_by: str | None = None
    baseline: Baseline | None = None


class ImageRecords:
    """The image records of the ledger table.

    Every method raises LedgerUnavailable when the table does not answer, whatever the reason.
    `repository` is the name of a repository of this registry, or account:region:name of one
    elsewhere. expires_at: seconds since 1970, when DynamoDB may delete the record.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def of(self, repository: str, among: Collection[str]) -> Iterator[ImageRecord]:
        """Read when some images of a repository were scanned, and nothing else of their records.

        With one query, which shows a megabyte; what lies beyond it is read by key, a hundred a
        call. So a repository of many pages, or of many images deleted since, takes no more calls
        and time a page than another.
        """
        wanted = {f"image#{image_digest}": image_digest for image_digest in among}
        with named_errors():
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :repository AND begins_with(sk, :image)",
                ExpressionAttributeValues={
                    ":repository": {"S": f"repository#{repository}"},
                    ":image": {"S": "image#"},
                },
                ProjectionExpression=", ".join(_SCANS),
            )
        for item in answer["Items"]:
            if wanted.pop(item["sk"]["S"], None):
                yield image_record(item)
        if "LastEvaluatedKey" in answer:
            for some in batched(wanted.values(), KEYS_A_CALL, strict=False):
                for found in self._get([image_key(repository, each) for each in some]):
                    yield image_record({name: found[name] for name in _SCANS if name in found})

    def get(self, repository: str, image_digest: str) -> ImageRecord:
        """Read the record of one image; an empty one when there is none."""
        with named_errors():
            answer = self._client.get_item(
                TableName=self._table, Key=image_key(repository, image_digest), ConsistentRead=True
            )
        return (
            image_record(answer.get("Item", {})) if "Item" in answer else ImageRecord(image_digest)
        )

    def note_started(
        self, repository: str, image_digest: str, *, run: str, at: datetime, expires_at: int
    ) -> None:
        """Note that a run has started a scan, unless a later one is known."""
        self._note(
            image_key(repository, image_digest),
            "SET started_at = :started_at, started_by = :run, expires_at = :expires_at",
            "attribute_not_exists(started_at) OR started_at < :started_at",
            {":started_at": at.astimezone(UTC), ":run": run, ":expires_at": expires_at},
        )

    def note_scan(
        self, repository: str, image_digest: str, scan: RecordedScan, *, expires_at: int
    ) -> None:
        """Note what ECR has told of an image, unless something newer is known."""
        scan = replace(scan, scanned_at=scan.scanned_at.astimezone(UTC))  # compared as text
        self._note(
            image_key(repository, image_digest),
            "SET last_scan = :scan, expires_at = :expires_at",
            "attribute_not_exists(last_scan) OR last_scan.scanned_at < :scanned_at",
            {":scan": scan, ":scanned_at": scan.scanned_at, ":expires_at": expires_at},
        )

    def note_baseline(
        self,
        repository: str,
        image_digest: str,
        baseline: Baseline,
        *,
        seen: Baseline | None,
        scanned_at: datetime,
        also: Sequence["TransactWriteItemTypeDef"] = (),
    ) -> None:
        """Note how an image stands, together with other items of the table, or nothing at all.

        seen: the baseline that the caller has compared with. Raises BaselineMoved when the record
        holds another one, or a scan that is newer than scanned_at: its event will compare with the
        baseline as it is.
        """
        values: dict[str, object] = {":baseline": baseline, ":scanned_at": scanned_at}
        condition = "attribute_not_exists(baseline)"
        if seen:
            condition = "baseline.revision = :revision"
            values |= {":revision": seen.revision}
        note: TransactWriteItemTypeDef = {
            "Update": {
                "TableName": self._table,
                "Key": image_key(repository, image_digest),
                "UpdateExpression": "SET baseline = :baseline",
                "ConditionExpression": (
                    f"{condition} AND (attribute_not_exists(last_scan) "
                    "OR last_scan.scanned_at <= :scanned_at)"
                ),
                "ExpressionAttributeValues": attributes(values),
            }
        }
        with named_errors():
            try:
                self._client.transact_write_items(TransactItems=[note, *also])
            except self._client.exceptions.TransactionCanceledException as error:
                raise BaselineMoved(f"{repository}@{image_digest}: {error}") from error

    def predecessor(
        self, repository: str, image_digest: str, tags: Sequence[str]
    ) -> ImageRecord | None:
        """Read the record of the image that had one of the tags before; the newest of several."""
        if not tags:
            return None
        pointers = self._get([_tag_key(repository, tag) for tag in tags])
        others = {pointer["image_digest"]["S"] for pointer in pointers} - {image_digest}
        if not others:
            return None
        found = map(image_record, self._get([image_key(repository, each) for each in others]))
        scans = {record.last_scan.scanned_at: record for record in found if record.last_scan}
        return scans[max(scans)] if scans else None

    def move_tags(
        self,
        repository: str,
        image_digest: str,
        tags: Sequence[str],
        *,
        scanned_at: datetime,
        expires_at: int,
    ) -> None:
        """Note that an image has these tags, unless a newer scan has seen them elsewhere."""
        for tag in tags:
            self._note(
                _tag_key(repository, tag),
                "SET image_digest = :digest, scanned_at = :scanned_at, expires_at = :expires_at",
                "attribute_not_exists(scanned_at) OR scanned_at < :scanned_at",
                {
                    ":digest": image_digest,
                    ":scanned_at": scanned_at,
                    ":expires_at": expires_at,
                },
            )

    def _get(self, keys: Sequence[dict[str, Any]]) -> list[Mapping[str, Any]]:
        """Read some items, a hundred at most; what DynamoDB leaves for later is asked for again."""
        found: list[Mapping[str, Any]] = []
        asked: Any = {self._table: {"Keys": keys}}
        with named_errors():
            while asked:
                answer = self._client.batch_get_item(RequestItems=asked)
                found += answer["Responses"].get(self._table, [])
                asked = answer.get("UnprocessedKeys")
        return found

    def _note(
        self, key: dict[str, Any], change: str, condition: str, values: Mapping[str, object]
    ) -> None:
        with named_errors(), suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    name: attribute(value) for name, value in values.items()
                },
            )


@functools.cache
def image_records() -> ImageRecords:
    """Make the adapter of the stack's table."""
    return ImageRecords(
        boto3.client("dynamodb", config=CLIENT_CONFIG), settings.text("LEDGER_TABLE")
    )


def image_key(repository: str, image_digest: str) -> dict[str, Any]:
    """Name the item of an image."""
    return {"pk": {"S": f"repository#{repository}"}, "sk": {"S": f"image#{image_digest}"}}


def _tag_key(repository: str, tag: str) -> dict[str, Any]:
    return {"pk": {"S": f"repository#{repository}"}, "sk": {"S": f"tag#{tag}"}}


def image_record(item: Mapping[str, Any]) -> ImageRecord:
    """Read an item; what is absent in it is not known."""
    values = plain_item(item)
    return decode(ImageRecord, {"image_digest": str(values["sk"]).removeprefix("image#"), **values})


def plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read the attributes of an item out of DynamoDB's types."""
    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def attribute(value: object) -> dict[str, Any]:
    """Write a value in DynamoDB's types; what is absent in a message is left out."""
    return dict(TypeSerializer().serialize(_present(encode(value))))


def attributes(values: Mapping[str, object]) -> dict[str, Any]:
    """Write several values in DynamoDB's types."""
    return {name: attribute(value) for name, value in values.items()}


def _present(value: Json) -> Any:
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    return value


def _plain(value: Any) -> Any:
    """Turn DynamoDB's numbers, which are decimals, into whole ones."""
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn whatever keeps the table from answering into LedgerUnavailable."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise LedgerUnavailable(str(error)) from error
