"""`make demo`: ecr-rescan deployed to an AWS account on this machine, and run on a registry."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from local.cloud import stack_parameters
from local.cloud.deployment import Application, DeploymentError, deploy
from local.cloud.engine import Engine, EngineError
from local.cloud.interpreters import REPOSITORY, EnvironmentMissingError
from local.demo.display import (
    DemoDisplay,
    calls_of,
    console_for,
    messages_of,
    summary_of,
    table_of,
    what_is_new,
)
from local.demo.document import document_of
from local.demo.expectations import Script
from local.demo.messages import (
    Decided,
    DemoReceivers,
    Highlights,
    Notifications,
    NotificationsTimeoutError,
    NotifyWatch,
    channels_on,
    draw,
    executions_caused,
    received_by_channel,
    refused_by_channel,
)
from local.demo.run import OutcomesDisagreeError, RescanRun, RunTimeoutError, RunWatch
from local.demo.weeks import Week, let_time_go_by, weeks_of
from local.receivers.inbox import CHANNELS as CHANNELS_OF_THE_INBOX
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered, Subscribers
from local.registry import checked_yaml, registry_file
from local.registry.checked_yaml import RegistryFileError
from local.registry.simulated_registry import SimulatedRegistry

DEMO_REGISTRY = Path("local/demo/registries/demo.yaml")
INBOX_DIRECTORY = Path(".demo")
ENGINE_LOG = INBOX_DIRECTORY / "engine.log"
# Every call at once is a Lambda process: the 50 of the template's defaults are for AWS.
FEW_PROCESSES = {"MaxConcurrency": "4", "MaxScanConcurrency": "2"}
# What the demo reads: images with their outcomes, and the executions of NotifyScan.
LOG_LEVELS = {"LogLevel": "DEBUG"}

WRONG_ARGUMENTS = 2
INTERRUPTED = 130
MOST_EVENTS = 25_000  # of an execution's history, in AWS
MOST_PAYLOAD = 256  # KiB, of a state's input or output, in AWS

EXAMPLES = """\
through make, options stand in ARGS:
  make demo ARGS='--registry local/demo/registries/fleet.yaml'
  make demo ARGS='--json demo.json --input {\\"dry_run\\":true}'

local/README.md explains the registry file and the JSON. The exit code is 0 when everything went as
the registry file scripts it, 1 when something else went wrong, 2 for wrong arguments.
"""


class WrongArgumentError(Exception):
    """An option does not make sense: the message says which and why."""


@dataclass(frozen=True)
class Journey:
    """What the demo is to do, checked before anything is started."""

    path: Path
    text: str
    registry: SimulatedRegistry
    weeks: list[Week]
    parameters: dict[str, str]
    input: Any
    json_path: Path | None

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Journey":
        """Read the files and the input that the options name."""
        try:
            first_input = json.loads(options.input)
        except ValueError as error:
            raise WrongArgumentError(f"--input {options.input} is not JSON: {error}.") from error
        if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
            raise WrongArgumentError(f"--json {options.json}: there is no directory for this file.")
        text = checked_yaml.read(options.registry)
        asked = stack_parameters.of_registry_file(text, name=_shown(options.registry))
        return cls(
            path=options.registry,
            text=text,
            registry=registry_file.parse(text, name=_shown(options.registry)),
            weeks=weeks_of(text),
            parameters=asked,
            input=first_input,
            json_path=options.json,
        )

    def summary(self) -> str:
        """Say what is going to happen."""
        repositories = self.registry.repositories.values()
        images = sum(len(repository.images) for repository in repositories)
        counts = f"{_counted(len(repositories), 'repository')}, {_counted(images, 'image')}"
        return f"{_shown(self.path)}: {counts}"


@dataclass(frozen=True)
class Seen:
    """Everything that is left when the local cloud is gone."""

    parameters: dict[str, str]
    runs: list[RescanRun]
    surprise_of_weeks: str | None
    notifications: Notifications
    requests: tuple[Received, ...]
    delivered: Delivered


class Story:
    """Everything since the beginning; the logs and receivers that it reads forget nothing."""

    def __init__(
        self,
        watch: RunWatch,
        notify: NotifyWatch,
        subscribers: Subscribers,
        channels: Sequence[str],
        display: DemoDisplay,
    ) -> None:
        self._watch = watch
        self._notify = notify
        self._subscribers = subscribers
        self._channels = channels
        self._display = display
        self._scans_started = 0
        self._scan_events = Counter[str]()
        self._executions = 0
        self._failed = 0
        self._decisions: tuple[Decided, ...] = ()
        self.delivered = Delivered()

    def await_messages(self, runs: Sequence[RescanRun]) -> list[Decided]:
        """Wait until everybody has been told what came of some runs, and give what was decided."""
        of = runs[-1].name
        with self._display.step(f"wait for the scans of {of}"):
            scans = self._watch.scans_ended()
        self._scans_started += scans.started
        self._scan_events += scans.events
        self._executions += executions_caused(scans.events, runs)
        before = self._decisions
        with self._display.step(f"wait for the messages about {of}"):
            self._failed = self._notify.failed_executions(self._executions)
            self._decisions = self._notify.decisions(self._executions - self._failed)
            told = sum(each.tell for each in self._decisions)
            published = sum(channel not in CHANNELS_OF_THE_INBOX for channel in self._channels)
            self.delivered = self._subscribers.received(at_least=told * published)
        return list((Counter(self._decisions) - Counter(before)).elements())

    def notifications(self, requests: Sequence[Received]) -> Notifications:
        """Put it all together."""
        return Notifications(
            scans_started=self._scans_started,
            scan_events=self._scan_events,
            executions=self._executions,
            executions_failed=self._failed,
            decisions=self._decisions,
            received=received_by_channel(self._channels, requests, self.delivered),
            refused=refused_by_channel(requests),
            undelivered=self._notify.undelivered(),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and give its exit code."""
    options = _options().parse_args(arguments)
    console, complaints = console_for(), console_for(stderr=True)
    try:
        journey = Journey.of(options)
    except (RegistryFileError, WrongArgumentError) as error:
        return _complain(complaints, str(error), WRONG_ARGUMENTS)
    try:
        surprise = _travel(journey, console)
    except KeyboardInterrupt:
        return _complain(complaints, "Stopped: nothing of the demo runs any more.", INTERRUPTED)
    except (
        EngineError,
        DeploymentError,
        EnvironmentMissingError,
        RunTimeoutError,
        NotificationsTimeoutError,
        OutcomesDisagreeError,
    ) as error:
        return _complain(complaints, str(error), 1)
    except (BotoCoreError, ClientError, OSError) as error:
        return _complain(complaints, f"The local cloud did not answer as it should: {error}", 1)
    return _complain(complaints, surprise, 1) if surprise else 0


def _travel(journey: Journey, console: Console) -> str | None:
    """Go all the way, and say what was not in the script, if anything."""
    display = DemoDisplay(console)
    console.print(Text("ecr-rescan, in an AWS account on this machine", "bold"))
    console.print(Text(journey.summary()))
    console.print()
    with DemoReceivers() as receivers:
        engine = Engine(lambda_environment=receivers.inbox.environment)
        try:
            seen = _observe(journey, engine, receivers, display, console)
        finally:
            engine.keep_log(REPOSITORY / ENGINE_LOG)
            engine.stop()
    console.print(summary_of(seen.notifications))
    highlights = Highlights.of(seen.requests, seen.delivered)
    console.print()
    console.print(messages_of(highlights), soft_wrap=True)
    with display.step("draw the inbox"):
        drawn = draw(REPOSITORY / INBOX_DIRECTORY, seen.requests, seen.delivered, highlights)
    console.print(Text(f"{'':10}{drawn}"))
    surprise = (
        Script.of(journey.registry).surprise(seen.runs[: len(seen.runs) - len(journey.weeks)])
        or seen.notifications.surprise()
        or seen.surprise_of_weeks
    )
    if journey.json_path:
        document = document_of(
            seen.runs,
            registry=_shown(journey.path),
            parameters=seen.parameters,
            seconds=display.seconds,
            notifications=seen.notifications,
            surprise=surprise,
        )
        journey.json_path.write_text(json.dumps(document, indent=2) + "\n")
        console.print(Text(f"{'':10}everything in numbers: {journey.json_path}"))
    console.print()
    return surprise


def _observe(
    journey: Journey,
    engine: Engine,
    receivers: DemoReceivers,
    display: DemoDisplay,
    console: Console,
) -> Seen:
    """Deploy, run, and wait until everybody has been told."""
    with display.step("start the local cloud"):
        engine.__enter__()
    with display.step("build the application"):
        Application().build()
    with display.step("deploy template.yaml"):
        parameters = FEW_PROCESSES | receivers.parameters(engine) | journey.parameters | LOG_LEVELS
        outputs = deploy(engine, parameters)
        subscribers = receivers.subscribe(engine, outputs)
    engine.put_registry(journey.text)
    watch = RunWatch(engine, outputs)
    runs = [_run(watch, "demo-1", journey.input, display, console)]
    if runs[0].is_incomplete:
        console.print(Text("The run printed the input of its rerun, so that is started now."))
        console.print()
        runs.append(_run(watch, "demo-2", runs[0].rerun_input(), display, console))
    notify, on = NotifyWatch(engine, outputs), channels_on(parameters)
    story = Story(watch, notify, subscribers, on, display)
    story.await_messages(runs)
    surprise = None
    for week in journey.weeks:
        console.print()
        console.print(Text(week.title, "bold"))
        let_time_go_by(engine, outputs["LedgerTableName"])
        engine.put_registry(week.text)
        run = _run(watch, f"demo-{len(runs) + 1}", week.input, display, console)
        runs.append(run)
        decisions = story.await_messages([run])
        console.print(what_is_new(decisions))
        surprise = surprise or week.surprise(decisions)
    requests = receivers.inbox.received
    notifications = story.notifications(requests)
    delivered = story.delivered
    return Seen(parameters, runs, surprise, notifications, requests, delivered)


def _run(
    watch: RunWatch, name: str, run_input: Any, display: DemoDisplay, console: Console
) -> RescanRun:
    with display.run(f"run {name}", f", input {json.dumps(run_input)}") as show:
        run = watch.run(name, run_input, show)
    if run.repositories:
        console.print(table_of(run, console))
    style = "green" if run.status == "SUCCEEDED" else "yellow" if run.is_incomplete else "red"
    ended = f"{run.status}" + (f", {run.error}" if run.error else "")
    console.print(Text.assemble((ended, f"bold {style}"), f": {run.conclusion}"))
    if run.calls.made:
        console.print(calls_of(run))
    histories = run.histories
    console.print(
        Text(
            f"The largest history has {histories.largest:,} of {MOST_EVENTS:,} events "
            f"({histories.largest_of}), the largest payload "
            f"{histories.largest_payload / 1024:.1f} of {MOST_PAYLOAD} KiB.",
            "dim",
        )
    )
    console.print()
    return run


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make demo",
        usage="make demo [ARGS='[--registry FILE.yaml] [--input JSON] [--json FILE]']",
        description="Deploys ecr-rescan to an AWS account that runs on this machine, runs it on a "
        "simulated registry, and reruns what failed. Needs no AWS account and no Docker.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--registry",
        type=Path,
        default=REPOSITORY / DEMO_REGISTRY,
        metavar="FILE.yaml",
        help=f"the registry to run on (default: {DEMO_REGISTRY})",
    )
    parser.add_argument(
        "--input",
        default="{}",
        metavar="JSON",
        help='the execution input of the first run, such as {"repository_filter": "shop/"}',
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything to a file, for machines"
    )
    return parser


def _counted(count: int, noun: str) -> str:
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _shown(path: Path) -> str:
    """Write a path as a reader in the repository would."""
    inside = path.absolute().is_relative_to(REPOSITORY)
    return str(path.absolute().relative_to(REPOSITORY) if inside else path)


def _complain(console: Console, message: str, code: int) -> int:
    console.print(Text(message, "red"), soft_wrap=True)
    return code
