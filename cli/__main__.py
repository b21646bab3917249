"""The command `ecr-rescan`: options and help. Everything else is imported by the command itself."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import VERSION
from cli.stack_command import StackCommand

SEE, ACT, INSTALL = "See", "Act", "Install"

app = typer.Typer(
    help="See and run ecr-rescan: what was scanned, what was found, who was notified.",
    epilog="Exit codes: 0 done, 1 the answer is bad, 2 usage, 3 AWS refused, 4 incomplete.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"ecr-rescan {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command(cls=StackCommand, rich_help_panel=SEE)
def report(
    context: typer.Context,
    worst: Annotated[
        int | None, typer.Option(help="The images with the worst findings, so many (20); 0: all.")
    ] = None,
    oldest: Annotated[
        int | None, typer.Option(help="The images with the oldest scans, so many; 0: all.")
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="The images that were not scanned in time.")
    ] = False,
    vulnerability: Annotated[
        str | None, typer.Option(metavar="CVE", help="The images that have a vulnerability.")
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Only repositories that match, from the start."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Exit with 1 if an image has open findings of this severity or worse: critical, "
            "high, medium, low; or if one is overdue: overdue.",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the whole report as one page.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a row per image, and beside it one per finding.")
    ] = None,
    details: Annotated[
        bool,
        typer.Option("--details", help="Ask ECR for fix, CVSS score and exploits. Takes time."),
    ] = False,
    as_of_run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="The images as this run found them, without asking ECR; or latest."
        ),
    ] = None,
) -> None:
    """Show the state of the registry now: worst, oldest, overdue, and who was notified."""
    from cli.report import command

    wanted = command.Wanted(
        worst=worst,
        oldest=oldest,
        is_overdue=overdue,
        vulnerability=vulnerability,
        repository=repository,
        fail_on=fail_on,
        html=html,
        csv=csv,
        has_details=details,
        as_of_run=as_of_run,
    )
    raise typer.Exit(command.report(context.obj, wanted))


@app.command(cls=StackCommand, rich_help_panel=SEE)
def doctor(context: typer.Context) -> None:
    """Find what is wrong with the deployment, what follows from it, and how to repair it."""
    from cli.doctor import doctor

    raise typer.Exit(doctor(context.obj))


@app.command(cls=StackCommand, rich_help_panel=SEE)
def why(
    context: typer.Context,
    image: Annotated[
        str, typer.Argument(help="repository:tag, repository@sha256:… or repository@12 digits")
    ],
) -> None:
    """Explain one image: its outcome in the last runs, its scans, what was notified, and why."""
    from cli.why import why

    raise typer.Exit(why(context.obj, image))


@app.command(cls=StackCommand, rich_help_panel=SEE)
def status(
    context: typer.Context,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=100, help="How many runs.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the progress of a run until it ends.")
    ] = False,
) -> None:
    """Show the last runs, what is running, what waits in the queues, and what comes next."""
    from cli.status import status

    raise typer.Exit(status(context.obj, runs=runs, follow=follow))


@app.command(cls=StackCommand, rich_help_panel=SEE)
def plan(
    context: typer.Context,
    run_input: Annotated[
        str, typer.Option("--input", metavar="JSON", help="The input of the dry run.")
    ] = "{}",
    images: Annotated[
        bool, typer.Option("--images", help="Name the images that would be scanned.")
    ] = False,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="REPOSITORIESxIMAGES[@RATE]",
            help="Compute the cost of runs over a registry of this shape. Asks AWS nothing.",
        ),
    ] = None,
) -> None:
    """Say what a run would do now: scans, daily quota, time, state transitions, US dollars."""
    from cli.plan import plan

    raise typer.Exit(plan(context.obj, run_input, names_images=images, shape=shape))


@app.command(cls=StackCommand, rich_help_panel=SEE)
def check_risks(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A document of accepted risks; absent: the deployed one.")
    ] = None,
) -> None:
    """Check accepted risks: what each entry matches now, what matches nothing, what ends soon."""
    from cli.risks import check_risks

    raise typer.Exit(check_risks(context.obj, file))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def test(
    context: typer.Context,
    channel: Annotated[
        str, typer.Argument(help="sns, chatbot, slack, teams, webhook, pagerduty or eventbridge")
    ],
) -> None:
    """Send a message marked TEST to one channel, and print the answer of the receiver."""
    from cli.test_message import test

    raise typer.Exit(test(context.obj, channel))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def run(
    context: typer.Context,
    run_input: Annotated[
        str, typer.Option("--input", metavar="JSON", help="The input of the run.")
    ] = "{}",
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the progress of the run until it ends.")
    ] = False,
) -> None:
    """Start a run now, as the schedule does."""
    from cli.run import run

    raise typer.Exit(run(context.obj, run_input, follow=follow))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def rerun(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(help="The name of a run; absent: the newest that failed.")
    ] = None,
    redrive: Annotated[
        bool, typer.Option("--redrive", help="Continue the execution itself, where that is better.")
    ] = False,
) -> None:
    """Run again what a run did not finish."""
    from cli.rerun import rerun

    raise typer.Exit(rerun(context.obj, run, redrive=redrive))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def digest(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for its end.")] = 600,
) -> None:
    """Send the digest now, and say what was sent."""
    from cli.digest import digest

    raise typer.Exit(digest(context.obj, wait=wait))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def undelivered(
    context: typer.Context,
    action: Annotated[
        Literal["list", "send"], typer.Argument(help="send: to the original target of each.")
    ] = "list",
) -> None:
    """List what was not delivered, or send it again as fast as its channel takes it."""
    from cli.undelivered import undelivered

    raise typer.Exit(undelivered(context.obj, sends=action == "send"))


@app.command(cls=StackCommand, rich_help_panel=ACT)
def accept(
    context: typer.Context,
    vulnerability: Annotated[str, typer.Argument(metavar="CVE", help="Such as CVE-2026-31337.")],
    until: Annotated[str, typer.Option(metavar="DATE", help="The last day, such as 2026-12-31.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the risk is acceptable.")],
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="PATTERN", help="Only repositories that match as a whole."),
    ] = None,
) -> None:
    """Accept the risk of one vulnerability until a given day; shows first what it matches."""
    from cli.risks import accept

    raise typer.Exit(accept(context.obj, vulnerability, within=within, until=until, reason=reason))


@app.command(cls=StackCommand, rich_help_panel=INSTALL)
def init(
    context: typer.Context,
    config: Annotated[Path, typer.Option(help="The file of answers to write.")] = Path(
        "ecr-rescan.toml"
    ),
) -> None:
    """Ask where to notify, what to scan and when, and write the answers into a file."""
    from cli.deploy import init

    raise typer.Exit(init(context.obj, config))


@app.command(cls=StackCommand, rich_help_panel=INSTALL)
def deploy(
    context: typer.Context,
    config: Annotated[Path, typer.Option(help="The file of answers.")] = Path("ecr-rescan.toml"),
) -> None:
    """Build and deploy, from a checkout; asks at the first time, and shows what changes."""
    from cli.deploy import deploy

    raise typer.Exit(deploy(context.obj, config))


@app.command(cls=StackCommand, rich_help_panel=INSTALL)
def undeploy(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The file of answers of the stack; absent: ecr-rescan.toml, if there is one."
        ),
    ] = None,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete the ledger and the buckets, too.")
    ] = False,
) -> None:
    """Delete the stack, and say what is kept."""
    from cli.undeploy import undeploy

    raise typer.Exit(undeploy(context.obj, config, deletes_data=delete_data))


def main() -> None:
    """Run the command line."""
    app(prog_name="ecr-rescan")


if __name__ == "__main__":
    main()
