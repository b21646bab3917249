"""Faults and kills by chance: of attempts, of calls of AWS inside functions, and of executions."""

import itertools
import json
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from local.cloud.moto_internals import Attempt, TaskFailure
from tests.support.definition import states
from tests.support.engine import Engine, FunctionKilled, Refusal, is_in_function

FAULTS = 0.2  # of attempts of tasks
FAULTS_INSIDE = 0.03  # of calls of AWS by functions, which make several of them
KILLS = 0.02  # of attempts: an execution of NotifyScan has about 40
OF_LAMBDA = (
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "States.Timeout",
)
OF_SERVICES = ("Any.InternalServerError", "Any.ThrottlingException", "States.Timeout")
DELIVERIES = ("PublishToTopic", "PutEvent", "PostToWebhook", "KeepUndelivered")
MOST_OF_CLAIM = 4  # retries of ClaimDelivery, after which the message is sent without a claim
MARKS = ("MarkDelivered", "MarkKept")
INSIDE = ("dynamodb.BatchGetItem", "dynamodb.TransactWriteItems", "dynamodb.UpdateItem")

type About = tuple[str, str]  # the image or the digest, and the channel


@dataclass
class Tally:
    """What has happened in all examples of a test."""

    executions: int = 0
    kills: int = 0
    faults: int = 0
    messages: int = 0
    lost: int = 0
    twice: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in vars(self).items())


class Chaos:
    """Decides about every attempt of a deployment.

    The decisions depend on a seed, and on the state, the subject, and how often that was attempted,
    not on the order in which concurrent attempts come.
    excuses: how many messages may come once more, because the result of a delivery was lost, or its
    mark, or because it could not be claimed.
    """

    def __init__(self, deployed: Engine, seed: int, tally: Tally) -> None:
        self._deployed = deployed
        self._seed = seed
        self._tally = tally
        self._functions = {state.name for state in states() if state.is_function}
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._unmarked: defaultdict[tuple[str, About], int] = defaultdict(int)
        self._repeated: Counter[About] = Counter()

    def begin(self) -> None:
        """Begin to fail and to kill."""
        self._deployed.attempting = self.attempting
        for operation in INSIDE:
            self._deployed.answers[operation] = self._inside(operation)

    @property
    def excuses(self) -> Counter[About]:
        """Count what may have come twice."""
        unmarked: Counter[About] = Counter()
        for (_, about), times in self._unmarked.items():
            unmarked[about] += times
        return self._repeated + unmarked

    def attempting(self, attempt: Attempt, perform: Callable[[], None]) -> None:
        """Perform an attempt, fail it, or kill its execution, before or after its effect."""
        chance = self._chance(attempt.state, _subject(attempt))
        drawn, is_after = chance.random(), chance.random() < 0.5
        with self._lock:
            self._tally.executions += attempt.execution not in self._seen
            self._seen.add(attempt.execution)
        if drawn < KILLS:
            # What is killed before its first effect leaves nothing: decision 27.
            if is_after or attempt.state == "NoteExecution":
                self._perform(attempt, perform, is_result_lost=True)
            with self._lock:
                self._tally.kills += 1
            self._deployed.kill(attempt.execution)
            raise TaskFailure("Killed")
        if drawn < KILLS + FAULTS:
            errors = OF_LAMBDA if attempt.state in self._functions else OF_SERVICES
            if is_after:
                self._perform(attempt, perform, is_result_lost=True)
            error = chance.choice(errors)
            with self._lock:
                self._tally.faults += 1
                if attempt.state == "ClaimDelivery" and (
                    attempt.number == MOST_OF_CLAIM or error == "States.Timeout"
                ):
                    self._repeated[about_of(attempt.input["delivery"])] += 1
            raise TaskFailure(error)
        self._perform(attempt, perform)

    def _perform(
        self, attempt: Attempt, perform: Callable[[], None], *, is_result_lost: bool = False
    ) -> None:
        perform()
        if attempt.state not in (*DELIVERIES, *MARKS):
            return
        about = about_of(attempt.input["delivery"])
        with self._lock:
            if attempt.state in MARKS:
                self._unmarked.pop((attempt.execution, about), None)
            elif is_result_lost:
                self._repeated[about] += 1
            else:
                self._unmarked[attempt.execution, about] = 1

    def _inside(self, operation: str) -> Callable[[str], None]:
        """Let calls of functions fail, or kill the function that makes them."""
        calls = itertools.count()

        def answer(_: str) -> None:
            chance = random.Random(f"{self._seed} {operation} {next(calls)}")
            drawn = chance.random()
            if drawn < FAULTS_INSIDE and is_in_function():
                with self._lock:
                    self._tally.faults += 1
                if drawn < FAULTS_INSIDE / 2:
                    raise FunctionKilled
                raise Refusal("InternalServerError", status=500)

        return answer

    def _chance(self, state: str, subject: str) -> random.Random:
        with self._lock:
            self._attempts[state, subject] += 1
            number = self._attempts[state, subject]
        return random.Random(f"{self._seed} {state} {subject} {number}")


def about_of(delivery: object) -> About:
    """Return what a delivery is about, and its channel; a message sent again has the same."""
    assert isinstance(delivery, dict)
    return subject_of(delivery["content"]), str(delivery["channel"])


def subject_of(content: object) -> str:
    """Find the image or the digest that a message is about."""
    text = json.dumps(content)
    found = re.search(r"digests/([\w-]+)\.json", text) or re.search(r"sha256:([0-9a-f]{64})", text)
    assert found, text
    return found[1]


def _subject(attempt: Attempt) -> str:
    given = attempt.input if isinstance(attempt.input, dict) else {}
    delivery = given.get("delivery")
    return str(delivery["channel"] if delivery else given.get("repository", ""))
