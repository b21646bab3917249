"""The simulated registry as a provider of localemu: behind its gateway and IAM, with events."""

import functools
import itertools
import json
import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from typing import Any

from localemu.aws.api import CommonServiceException, RequestContext
from localemu.aws.connect import connect_to
from localemu.aws.skeleton import Skeleton
from localemu.aws.spec import load_service
from localemu.http import Request, Response, Router
from localemu.services.plugins import Service, aws_provider

from local.cloud.account import ACCOUNT, REGION
from local.registry import registry_file
from local.registry.registry_file import RegistryFileError
from local.registry.simulated_registry import EcrError, Message, SimulatedRegistry

CONTROL_PATH = "/_simulated_registry"
FAULTS_PATH = "/_simulated_registry/faults"
INSPECTOR_PATH = "/_simulated_registry/inspector"
MOST_ENTRIES_OF_PUT_EVENTS = 10
ECR = "aws.ecr"

LOG = logging.getLogger(__name__)


class ServedRegistry:
    """The registry of this engine, which can be replaced at any time."""

    def __init__(self) -> None:
        self._registry = SimulatedRegistry()
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._events_sent: Counter[str] = Counter()
        self._events_of_inspector: Counter[str] = Counter()
        threading.Thread(target=self._end_scans, daemon=True, name="simulated-registry").start()

    def replace(self, text: str) -> None:
        """Replace the registry with the one in a file; counters start at zero."""
        registry = registry_file.parse(text)
        settings = registry.settings
        if (settings.account, settings.region) != (ACCOUNT, REGION):
            raise RegistryFileError(
                f"The local cloud is account {ACCOUNT} in {REGION}, but the registry file says "
                f"account {settings.account} in {settings.region}. Leave `account` and `region` "
                "out of the file."
            )
        registry.on_event = self._events.put
        self._registry = registry
        self._events_sent = Counter()
        self._events_of_inspector = Counter()

    def clear_faults(self) -> None:
        """End all scripted faults; keep everything else."""
        self._registry.clear_faults()

    def inspect(self) -> int:
        """Let Amazon Inspector scan its images again; return the number of its events."""
        return self._registry.inspect()

    def answer(self, context: RequestContext, request: Message | None) -> Message:
        """Answer a call that the gateway has authorized."""
        registry = self._registry
        time.sleep(registry.settings.latency.total_seconds())
        try:
            return registry.call(context.operation.name, request or {})
        except EcrError as error:
            raise CommonServiceException(error.code, error.message, error.status) from error

    def counters(self) -> dict[str, Any]:
        """Return what has happened since the registry was put here."""
        registry = self._registry
        started: dict[str, dict[str, int]] = defaultdict(dict)
        for (repository, digest), count in registry.started.items():
            started[repository][digest] = count
        by_repository: dict[str, dict[str, int]] = defaultdict(dict)
        for (operation, name), count in registry.calls_by_repository.items():
            by_repository[operation][name or ""] = count
        return {
            "calls": registry.calls,
            "calls_by_repository": by_repository,
            "throttled": registry.throttled,
            "started": started,
            "scans_under_way": registry.scans_under_way,
            "events_sent": self._events_sent.total(),
            "events_sent_by_status": self._events_sent,
            "events_sent_by_inspector": self._events_of_inspector,
            "images": {
                repository.name: {image.digest: image.tags for image in repository.images.values()}
                for repository in registry.repositories.values()
            },
        }

    def _end_scans(self) -> None:
        """End scans when they are due, also without any call."""
        while True:
            time.sleep(1)
            self._registry.settle()
            events = [self._events.get() for _ in range(self._events.qsize())]
            for batch in itertools.batched(events, MOST_ENTRIES_OF_PUT_EVENTS, strict=False):
                try:
                    _put_on_default_bus(batch)
                    for event in batch:
                        kind, sent = event["detail-type"], self._events_of_inspector
                        if event["source"] == ECR:
                            kind, sent = event["detail"]["scan-status"], self._events_sent
                        sent[kind] += 1
                except Exception:  # the events of later scans must still be sent
                    LOG.exception("scan events lost")


@functools.cache
def served_registry() -> ServedRegistry:
    """Return the one registry of this process."""
    return ServedRegistry()


@aws_provider(api="ecr", name="simulated")  # type: ignore[untyped-decorator] # untyped package
def simulated_ecr() -> Service:
    """Serve ECR from the simulated registry when PROVIDER_OVERRIDE_ECR is `simulated`."""
    model = load_service("ecr")
    answer = served_registry().answer
    return Service(
        name="ecr", skeleton=Skeleton(model, dict.fromkeys(model.operation_names, answer))
    )


def add_control(router: Router[Any]) -> None:
    """Add routes to control the registry.

    PUT a registry (YAML), GET its counters (JSON), DELETE its faults, POST to let Inspector scan.
    """

    def put(request: Request) -> Response:
        try:
            served_registry().replace(request.get_data(as_text=True))
        except RegistryFileError as error:
            return Response(str(error), status=400)
        return Response(status=204)

    def get(_request: Request) -> Response:
        return Response(json.dumps(served_registry().counters()), mimetype="application/json")

    def delete_faults(_request: Request) -> Response:
        served_registry().clear_faults()
        return Response(status=204)

    def inspect(_request: Request) -> Response:
        return Response(json.dumps(served_registry().inspect()), mimetype="application/json")

    router.add(INSPECTOR_PATH, inspect, methods=["POST"])
    router.add(CONTROL_PATH, put, methods=["PUT"])
    router.add(CONTROL_PATH, get, methods=["GET"])
    router.add(FAULTS_PATH, delete_faults, methods=["DELETE"])


def _put_on_default_bus(events: tuple[Message, ...]) -> None:
    connect_to(aws_access_key_id=ACCOUNT, region_name=REGION).events.put_events(
        Entries=[
            {
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
                "Resources": event["resources"],
                "Time": event["time"],
            }
            for event in events
        ]
    )
