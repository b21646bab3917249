"""A command about a deployed stack: the options that every such command has, and how it ends."""

import functools
import sys
from typing import Any

import click
from click.core import ParameterSource
from typer.core import TyperCommand, TyperOption

DEFAULT_STACK = "ecr-rescan"
PANEL = "Stack and output"
FORMATS = ("table", "json", "csv")


class StackCommand(TyperCommand):
    """A command with the options of all commands; its context holds a Call instead of them."""

    def __init__(self, *arguments: Any, params: list[click.Parameter], **keywords: Any) -> None:
        super().__init__(*arguments, params=[*params, *_options()], **keywords)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and end with a sentence and an exit code where it raises an error."""
        given = {option.name: ctx.params.pop(option.name) for option in _options() if option.name}
        # These take half a second, which help and completion need not wait for.
        from cli.aws_errors import in_a_sentence  # noqa: PLC0415
        from cli.call import Call  # noqa: PLC0415
        from cli.exits import CommandError  # noqa: PLC0415
        from cli.output import Format, Output  # noqa: PLC0415
        from cli.stack import Address  # noqa: PLC0415

        output = Output(Format(given["form"]), color=not given["no_color"])
        is_named = ctx.get_parameter_source("stack") is not ParameterSource.DEFAULT
        address = Address(given["stack"], given["region"], given["profile"], is_named)
        ctx.obj = Call(address, output, is_confirmed=given["yes"])
        try:
            with in_a_sentence(ctx.obj.profile):
                return super().invoke(ctx)
        except CommandError as error:
            if given["debug"]:
                raise
            output.complain(str(error))
            sys.exit(error.code)


@functools.cache
def _options() -> tuple[TyperOption, ...]:
    option = functools.partial(TyperOption, rich_help_panel=PANEL)
    return (
        option(
            param_decls=["--stack", "-s"],
            envvar="ECR_RESCAN_STACK",
            default=DEFAULT_STACK,
            show_default=True,
            help="Name of the stack.",
        ),
        option(param_decls=["--region"], help="Region of the stack.", metavar="REGION"),
        option(
            param_decls=["--profile"], help="Profile of your AWS configuration.", metavar="NAME"
        ),
        option(
            param_decls=["form", "--output", "-o"],
            type=click.Choice(FORMATS),
            default="table",
            show_default=True,
            help="Form of the answer.",
        ),
        option(param_decls=["--yes", "-y"], is_flag=True, help="Answer yes to every question."),
        option(param_decls=["--no-color"], is_flag=True, help="Use no colors; also NO_COLOR."),
        option(param_decls=["--debug"], is_flag=True, help="Show the traceback of an error."),
    )
