"""The questions of `ecr-rescan init`, and what the answers mean as parameters."""

import json
import os
import re
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from cli.exits import UsageError
from cli.output import Output
from cli.patterns import NotAPattern, checked
from cli.stack import Account
from cli.template_parameters import Template
from notify_scan.webhooks.address import address_of
from registry.ecr import EcrRegistry
from runtime.nouns import counted
from runtime.patterns import PatternTooSlow, matching_texts

LOCALTIME = Path("/etc/localtime")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?:\s+(\S+))?")


def ask(output: Output, account: Account, stack: str, template: Template) -> dict[str, str]:
    """Ask six questions, and return the parameters; makes the secret with Slack's address."""
    if not output.complaints.is_terminal:
        raise UsageError(
            "init asks questions, and there is no terminal: docs/deploying.md has a file to copy."
        )
    questions = _Questions(output, template)
    email = questions.parameter(
        "Email address that gets notifications and alarms; empty: none. AWS asks it to confirm two "
        "subscriptions.",
        "AlertEmail",
    )
    slack = questions.hidden(
        "Address of an incoming webhook of Slack; empty: none. It is not shown, and goes into a "
        "secret of Secrets Manager. Teams, PagerDuty and others: see the file.",
        "Slack webhook",
        _slack_address,
    )
    names = [*_repositories(account)]
    repositories = questions.asked(
        "Repositories to rescan: a regular expression, matched from the start of the name, such as "
        f"prod/|team/; empty: all {len(names)}.",
        "RepositoryFilter",
        "",
        lambda pattern: _matching(output, pattern, names),
    )
    schedule, timezone = questions.asked(
        "Time of the daily run, and its time zone.", "Time", f"03:00 {local_timezone()}", _time
    )
    digests = questions.asked(
        "digest: one message per day, and a new critical vulnerability immediately; single: one "
        "message per scan.",
        "Messages",
        "digest",
        _digest_channels,
    )
    alarms = questions.parameter(
        "ARN of an SNS topic for the alarms; empty: they go to the email address.", "AlarmTopicArn"
    )
    parameters = {
        "AlertEmail": email,
        "RepositoryFilter": repositories,
        "ScheduleExpression": schedule,
        "ScheduleTimezone": timezone,
        "DigestChannels": digests or template.parameters["DigestChannels"].default,
        "AlarmTopicArn": alarms,
    }
    if slack:
        parameters["SlackWebhookSecretArn"] = _put_secret(output, account, f"{stack}/slack", slack)
    return parameters


def local_timezone() -> str:
    """Return the name of this machine's time zone, or UTC if it has none."""
    name = os.environ.get("TZ") or str(LOCALTIME.resolve()).rpartition("zoneinfo/")[2]
    return name if name in zoneinfo.available_timezones() else "UTC"


class _Questions:
    """Questions with a line of meaning each, asked again until the answer can be used."""

    def __init__(self, output: Output, template: Template) -> None:
        self._output = output
        self._template = template

    def asked[Read](
        self, meaning: str, name: str, default: str, read: Callable[[str], Read]
    ) -> Read:
        """Ask for a text. read: raises click.UsageError if it cannot be used."""
        self._output.complain(f"\n{meaning}")
        answer: Read = click.prompt(
            name, default=default, show_default=bool(default), value_proc=read, err=True
        )
        return answer

    def hidden(self, meaning: str, name: str, read: Callable[[str], str]) -> str:
        """Ask for a text that is not shown."""
        self._output.complain(f"\n{meaning}")
        while True:
            text = click.prompt(name, default="", show_default=False, hide_input=True, err=True)
            try:
                return read(text)
            except click.UsageError as error:  # which click would keep back: it could have the text
                self._output.complain(f"Error: {error.message}")

    def parameter(self, meaning: str, name: str) -> str:
        """Ask for the value of a parameter; its default is that of the template."""
        parameter = self._template.parameters[name]

        def allowed(value: str) -> str:
            if accepted := parameter.refusal(value):
                raise click.UsageError(f"It must be {accepted}.")
            return value

        return self.asked(meaning, name, parameter.default, allowed)


def _slack_address(text: str) -> str:
    try:
        if text.strip():
            address_of(text.strip())
    except ValueError as error:
        raise click.UsageError(f"It must be {error}.") from None
    return text.strip()


def _repositories(account: Account) -> Iterator[str]:
    registry, cursor = EcrRegistry(account.client("ecr")), None
    while True:
        page = registry.repositories(cursor)
        yield from page.names
        cursor = page.cursor
        if not cursor:
            return


def _matching(output: Output, pattern: str, names: list[str]) -> str:
    try:
        matching = matching_texts(checked(pattern), names)
    except (NotAPattern, PatternTooSlow) as error:
        raise click.UsageError(f"It cannot be used: {error}.") from None
    if names and not matching:
        raise click.UsageError(f"It matches none of {counted(len(names), 'repository')}.")
    output.complain(f"It matches {len(matching)} of {counted(len(names), 'repository')}.")
    return pattern


def _time(text: str) -> tuple[str, str]:
    """Read 03:00 Europe/Berlin as a schedule and its time zone."""
    if not (found := _TIME.fullmatch(text.strip())):
        raise click.UsageError("It must be a time of day, such as 03:00 or 03:00 Europe/Berlin.")
    hour, minute, zone = found.groups()
    known = zoneinfo.available_timezones()
    if zone and known and zone not in known:
        raise click.UsageError(f"{zone} is no time zone: a name such as Europe/Berlin or UTC is.")
    return f"cron({int(minute)} {int(hour)} * * ? *)", zone or local_timezone()


def _digest_channels(text: str) -> str:
    match text.strip().lower():
        case "digest":
            return ""
        case "single":
            return "NONE"
    raise click.UsageError("It must be digest or single.")


def _put_secret(output: Output, account: Account, name: str, address: str) -> str:
    """Keep the address of a webhook as a secret, and return its ARN."""
    secrets, content = account.client("secretsmanager"), json.dumps({"url": address})
    try:
        arn: str = secrets.create_secret(Name=name, SecretString=content)["ARN"]
    except secrets.exceptions.ResourceExistsException:
        arn = secrets.put_secret_value(SecretId=name, SecretString=content)["ARN"]
        output.complain(f"The secret {name} exists: it has a new value now.")
    else:
        output.complain(f"Made the secret {name}.")
    return arn
