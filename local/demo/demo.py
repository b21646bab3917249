"""`make demo`: deploy ecr-rescan to the local cloud and run it on a simulated registry."""

import argparse
import contextlib
import json
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from local.cloud import stack_parameters
from local.cloud.deployment import Application, DeploymentError, deploy
from local.cloud.engine import Engine, EngineError
from local.cloud.interpreters import REPOSITORY, EnvironmentMissingError
from local.demo.command_line import CommandLine, Ran, unexpected_in_commands
from local.demo.digests import DigestNotSentError, DigestSender
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
from local.demo.expectations import Script, unexpected_in_messages, unexpected_in_week
from local.demo.inspector_scene import InspectorWatch, Rechecks, SceneTimeoutError
from local.demo.messages import (
    PAGE,
    Decided,
    DemoReceivers,
    Highlights,
    Notifications,
    NotificationsTimeoutError,
    NotifyWatch,
    channels_on,
    digest_channels_of,
    draw,
    executions_caused,
    received_by_channel,
    refused_by_channel,
)
from local.demo.run import OutcomesDisagreeError, RescanRun, RunTimeoutError, RunWatch
from local.demo.tour import REPORT, Tour, TourStoppedError
from local.demo.weeks import Week, let_time_pass, weeks_of
from local.receivers.inbox import CHANNELS as CHANNELS_OF_THE_INBOX
from local.receivers.inbox import Received
from local.receivers.subscribers import Delivered, Subscribers
from local.registry import checked_yaml, registry_file
from local.registry.checked_yaml import RegistryFileError
from local.registry.simulated_registry import SimulatedRegistry

DEMO_REGISTRY = Path("local/demo/registries/demo.yaml")
INBOX_DIRECTORY = Path(".demo")
ENGINE_LOG = INBOX_DIRECTORY / "engine.log"
# Each concurrent call is a Lambda process here; the template's defaults are for AWS.
FEW_PROCESSES = {"MaxConcurrency": "4", "MaxScanConcurrency": "2"}
# The demo reads image outcomes and NotifyScan's executions from the logs.
LOG_LEVELS = {"LogLevel": "DEBUG"}

WRONG_ARGUMENTS = 2
INTERRUPTED = 130
MOST_EVENTS = 25_000  # in an execution's history, on AWS
MOST_PAYLOAD = 256  # KiB in a state's input or output, on AWS

OPENING = "The demo deploys the stack, runs it, and shows every notification, in 2 to 4 minutes."
TOUR = "Then it runs the commands of ecr-rescan, in 2 to 4 minutes more."
EXAMPLES = """\
examples (pass options in ARGS):
  make demo ARGS='--registry local/demo/registries/fleet.yaml'
  make demo ARGS='--json demo.json --input {\\"dry_run\\":true}'

exit codes of `.venvs/local/bin/python -m local.demo`:
  0  everything went as the registry file scripts it
  1  anything else went wrong; one sentence says what
  2  wrong arguments or a faulty registry file; nothing was started
  130  interrupted
make reports each of 1, 2 and 130 as its own exit code 2.

local/README.md documents the registry file and the JSON output.
"""


class WrongArgumentError(Exception):
    """An option is invalid: the message names it and says why."""


@dataclass(frozen=True)
class Plan:
    """Everything that the demo was asked to do, validated before anything starts."""

    path: Path
    text: str
    registry: SimulatedRegistry
    weeks: list[Week]
    parameters: dict[str, str]
    input: Any
    json_path: Path | None
    has_tour: bool = False
    is_kept: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Plan":
        """Read and validate the files and the input that the options name."""
        try:
            first_input = json.loads(options.input)
        except ValueError as error:
            raise WrongArgumentError(f"--input {options.input} is not JSON: {error}.") from error
        if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
            raise WrongArgumentError(
                f"--json {options.json} must be a file in a directory that exists."
            )
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
            has_tour=options.tour,
            is_kept=options.keep,
        )

    def summary(self) -> str:
        """Return one line about the registry."""
        repositories = self.registry.repositories.values()
        images = sum(len(repository.images) for repository in repositories)
        counts = f"{_counted(len(repositories), 'repository')}, {_counted(images, 'image')}"
        return f"{_shown(self.path)}: {counts}"


@dataclass(frozen=True)
class Observed:
    """Everything that is known once the local cloud has stopped."""

    parameters: dict[str, str]
    runs: list[RescanRun]
    weeks: int
    unexpected_later: str | None
    notifications: Notifications
    requests: tuple[Received, ...]
    delivered: Delivered
    commands: tuple[Ran, ...]


class Story:
    """All runs of a demo so far, with the scans, decisions and messages that they caused."""

    def __init__(
        self,
        watch: RunWatch,
        notify: NotifyWatch,
        subscribers: Subscribers,
        channels: Sequence[str],
        display: DemoDisplay,
        sender: DigestSender,
    ) -> None:
        self._sender = sender
        self._digests = 0
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
        self._rechecks: Rechecks | None = None

    def await_messages(self, runs: Sequence[RescanRun]) -> list[Decided]:
        """Wait for what these runs cause: scans, decisions, messages. Return the decisions."""
        of = runs[-1].name
        with self._display.step(f"wait for the scans of {of}"):
            scans = self._watch.scans_ended()
        self._scans_started += scans.started
        self._scan_events += scans.events
        self._executions += executions_caused(scans.events, runs)
        before = self._decisions
        with self._display.step(f"wait for the messages about {of}"):
            self._await_executions()
            self._await_delivered()
        return list((Counter(self._decisions) - Counter(before)).elements())

    def await_findings(self, watch: InspectorWatch) -> Rechecks:
        """Wait for what Amazon Inspector causes, and return what became of its events."""
        called = watch.ecr_calls()
        with self._display.step("wait for the events of Amazon Inspector"):
            rechecks = watch.inspect()
        self._executions += rechecks.results
        with self._display.step("wait for the comparisons"):
            self._await_executions()
        calls, left = watch.ecr_calls() - called, watch.left()
        self._rechecks = rechecks = replace(rechecks, ecr_calls=calls, left=left)
        return rechecks

    def send_digest(self) -> bool:
        """Send the digest of the day, and return whether there was anything to send."""
        if not self._sender.channels:
            return False
        with self._display.step("send the digest"):
            is_sent = self._sender.send()
            self._digests += is_sent
            self._await_executions()
            self._await_delivered()
        return is_sent

    def notifications(self, requests: Sequence[Received]) -> Notifications:
        """Return everything about notifications."""
        return replace(self._so_far(requests), undelivered=self._notify.undelivered())

    def _await_executions(self) -> None:
        """Wait for the end of all executions of NotifyScan, those that send digests among them."""
        self._failed = self._notify.failed_executions(self._executions + self._digests)
        self._decisions = self._notify.decisions(self._executions - self._failed)

    def _await_delivered(self) -> None:
        """Wait for the messages in the channels that the inbox is not the receiver of."""
        so_far = self._so_far(())
        others = [channel for channel in self._channels if channel not in CHANNELS_OF_THE_INBOX]
        self.delivered = self._subscribers.received(at_least=sum(map(so_far.expected, others)))

    def _so_far(self, requests: Sequence[Received]) -> Notifications:
        return Notifications(
            scans_started=self._scans_started,
            scan_events=self._scan_events,
            executions=self._executions,
            executions_failed=self._failed,
            decisions=self._decisions,
            received=received_by_channel(self._channels, requests, self.delivered),
            refused=refused_by_channel(requests),
            digests=self._digests,
            digest_channels=self._sender.channels,
            rechecks=self._rechecks,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _options().parse_args(arguments)
    console, complaints = console_for(), console_for(stderr=True)
    try:
        plan = Plan.of(options)
    except (RegistryFileError, WrongArgumentError) as error:
        return _complain(complaints, str(error), WRONG_ARGUMENTS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to leave nothing behind
    try:
        unexpected = _demonstrate(plan, console)
    except KeyboardInterrupt:
        return _complain(complaints, "Interrupted. The local cloud has been stopped.", INTERRUPTED)
    except (
        EngineError,
        DeploymentError,
        EnvironmentMissingError,
        RunTimeoutError,
        NotificationsTimeoutError,
        OutcomesDisagreeError,
        SceneTimeoutError,
        DigestNotSentError,
        TourStoppedError,
    ) as error:
        return _complain(complaints, str(error), 1)
    except (BotoCoreError, ClientError, OSError) as error:
        return _complain(complaints, f"The local cloud failed: {error}", 1)
    return _complain(complaints, unexpected, 1) if unexpected else 0


def _demonstrate(plan: Plan, console: Console) -> str | None:
    """Run the whole demo. Return what was not as scripted, as one sentence, or None."""
    display = DemoDisplay(console)
    console.print(Text("ecr-rescan in a local AWS account on this machine", "bold"))
    console.print(Text(plan.summary()))
    console.print(Text(OPENING))
    if plan.has_tour:
        console.print(Text(TOUR))
    console.print()
    with DemoReceivers() as receivers:
        engine = Engine(lambda_environment=receivers.inbox.environment)
        try:
            observed = _observe(plan, engine, receivers, display, console)
            unexpected = _conclude(plan, observed, display, console)
            if plan.is_kept:
                _keep(engine, console)
        finally:
            engine.keep_log(REPOSITORY / ENGINE_LOG)
            engine.stop()
    return unexpected


def _conclude(plan: Plan, observed: Observed, display: DemoDisplay, console: Console) -> str | None:
    """Show all runs together, and what to look at. Return what was not as scripted, or None."""
    console.print()
    console.print(Text("All runs together", "bold"))
    console.print(summary_of(observed.notifications))
    highlights = Highlights.of(observed.requests, observed.delivered)
    console.print()
    console.print(messages_of(highlights), soft_wrap=True)
    with display.step("draw the inbox"):
        pictures = draw(
            REPOSITORY / INBOX_DIRECTORY, observed.requests, observed.delivered, highlights
        )
    unexpected = (
        Script.of(plan.registry).unexpected(observed.runs[: len(observed.runs) - observed.weeks])
        or unexpected_in_messages(observed.notifications)
        or observed.unexpected_later
        or unexpected_in_commands(observed.commands)
    )
    if plan.json_path:
        document = document_of(
            observed.runs,
            registry=_shown(plan.path),
            parameters=observed.parameters,
            seconds=display.seconds,
            notifications=observed.notifications,
            unexpected=unexpected,
        )
        document["commands"] = [vars(ran) for ran in observed.commands]
        plan.json_path.write_text(json.dumps(document, indent=2) + "\n")
    console.print()
    console.print(_what_to_look_at(pictures, plan.json_path), soft_wrap=True)
    console.print()
    return unexpected


def _what_to_look_at(pictures: str, json_path: Path | None) -> Text:
    """Return the closing lines: files to look at, the page of all messages first."""
    lines = [
        f"Open {INBOX_DIRECTORY / PAGE} in a browser: every notification of these runs, as its "
        "receiver shows it.",
        f"Open {REPORT} in a browser: the report on the registry, as an auditor gets it.",
        pictures,
        f"Log of the local cloud: {ENGINE_LOG}",
    ]
    if json_path:
        lines.append(f"All results as JSON: {json_path}")
    return Text("\n".join(lines))


def _observe(
    plan: Plan,
    engine: Engine,
    receivers: DemoReceivers,
    display: DemoDisplay,
    console: Console,
) -> Observed:
    """Deploy, run, and wait until every message has been delivered."""
    with display.step("start the local cloud"):
        engine.__enter__()
    with display.step("build the application"):
        Application().build()
    with display.step("deploy template.yaml"):
        parameters = FEW_PROCESSES | receivers.parameters(engine) | plan.parameters | LOG_LEVELS
        outputs = deploy(engine, parameters)
        subscribers = receivers.subscribe(engine, outputs)
    engine.put_registry(plan.text)
    watch = RunWatch(engine, outputs)
    console.print()
    console.print(Text("The first run", "bold"))
    runs = [_run(watch, "demo-1", plan.input, display, console)]
    if runs[0].rerun_input():
        console.print(Text("The run printed the input for a rerun. The demo starts it now."))
        console.print()
        runs.append(_run(watch, "demo-2", runs[0].rerun_input(), display, console))
    notify, on = NotifyWatch(engine, outputs), channels_on(parameters)
    sender = DigestSender(engine, outputs, digest_channels_of(parameters))
    story = Story(watch, notify, subscribers, on, display, sender)
    story.await_messages(runs)
    story.send_digest()
    unexpected = None
    scanned = {name for run in runs if not run.is_dry for name in run.repositories}
    weeks = [week for week in plan.weeks if scanned.issuperset(week.repositories)]
    for week in weeks:
        console.print()
        console.print(Text(week.title, "bold"))
        let_time_pass(engine, outputs["LedgerTableName"], outputs["RunBucketName"])
        engine.put_registry(week.text)
        run = _run(watch, f"demo-{len(runs) + 1}", week.input, display, console)
        runs.append(run)
        decisions = story.await_messages([run])
        console.print(what_is_new(decisions))
        is_in_digest = story.send_digest()
        unexpected = unexpected or unexpected_in_week(week, decisions, is_in_digest=is_in_digest)
    if plan.registry.settings.scan_type == "ENHANCED":
        console.print()
        console.print(Text("Amazon Inspector learns of vulnerabilities.", "bold"))
        rechecks = story.await_findings(InspectorWatch(engine, outputs))
        console.print(Text(rechecks.sentence()))
        story.send_digest()
        unexpected = unexpected or rechecks.unexpected()
    requests = receivers.inbox.received
    notifications = story.notifications(requests)
    tour = Tour(CommandLine(engine), receivers.inbox, partial(_show_command, console))
    console.print()
    console.print(Text("The command line", "bold"))
    (REPOSITORY / INBOX_DIRECTORY).mkdir(exist_ok=True)
    tour.all() if plan.has_tour else tour.report()
    return Observed(
        parameters=parameters,
        runs=runs,
        weeks=len(weeks),
        unexpected_later=unexpected,
        notifications=notifications,
        requests=requests,
        delivered=story.delivered,
        commands=tuple(tour.commands),
    )


def _show_command(console: Console, ran: Ran) -> None:
    """Print a command and what it has written, as a terminal of 80 columns shows it.

    The answer comes last: what is on standard error is progress, or leads to it.
    """
    if ran.remark:
        console.print(Text(ran.remark))
    console.print(Text(f"$ {ran.command}", "bold"))
    console.print(Text(f"{ran.err}{ran.out}".rstrip()), soft_wrap=True)
    console.print(Text(f"(exit code {ran.code})", "dim"))
    console.print()


def _keep(engine: Engine, console: Console) -> None:
    """Keep the account until the operator interrupts, and say how to use it."""
    settings = "".join(f"\nexport {name}={value}" for name, value in engine.environment.items())
    console.print(
        Text(f"The account is kept. In another terminal, use it with these settings:{settings}"),
        soft_wrap=True,
    )
    console.print(Text("Ctrl-C ends it."))
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


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
        usage="make demo [ARGS='[--registry FILE.yaml] [--input JSON] [--json FILE] "
        "[--tour] [--keep]']",
        description="Deploy ecr-rescan to a local AWS account, run it on a simulated registry,\n"
        "rerun what failed, and show every notification. Needs no AWS account and no Docker.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--registry",
        type=Path,
        default=REPOSITORY / DEMO_REGISTRY,
        metavar="FILE.yaml",
        help=f"registry file (default: {DEMO_REGISTRY})",
    )
    parser.add_argument(
        "--input",
        default="{}",
        metavar="JSON",
        help='execution input of the first run, such as {"repository_filter": "shop/"}',
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write all results to a JSON file"
    )
    parser.add_argument(
        "--tour", action="store_true", help="also run every command of the command line"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the account until Ctrl-C, to use it yourself"
    )
    return parser


def _counted(count: int, noun: str) -> str:
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _shown(path: Path) -> str:
    """Return a path relative to the repository if it is inside."""
    inside = path.absolute().is_relative_to(REPOSITORY)
    return str(path.absolute().relative_to(REPOSITORY) if inside else path)


def _complain(console: Console, message: str, code: int) -> int:
    console.print(Text(message, "red"), soft_wrap=True)
    return code
