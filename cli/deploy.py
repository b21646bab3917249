"""Deploy from a checkout: the answers in a file, checks before the build, then make and SAM."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from cli import questions
from cli.answers import (
    FILE,
    Answers,
    about,
    answers_text,
    check_parameters,
    read_answers,
    toml_text,
)
from cli.aws_errors import in_a_sentence
from cli.call import Call
from cli.checkout import Checkout, checkout_here
from cli.deployed import Deployed, Written
from cli.exits import CommandError, Declined, ExitCode, UsageError
from cli.shown_commands import aws, own
from cli.stack import Stack, existing
from cli.stack_events import failures
from cli.template_parameters import Template
from registry.ecr import EcrRegistry
from reporting.text import visible

PLANNED = "REVIEW_IN_PROGRESS"  # a first change set, which was not executed
ONLY_DELETABLE = {"CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
NOTHING_DEPLOYED = "Nothing was deployed."
ENHANCED = """\
This registry has enhanced scanning: Amazon Inspector scans its images. ecr-rescan will start no \
scan, and notify of what Amazon Inspector finds (docs/first-day.md#with-enhanced-scanning)."""


def init(call: Call, file: Path) -> ExitCode:
    """Ask what the stack needs, and write the file of answers."""
    if file.exists():
        raise UsageError(f"{file} exists: edit it, then deploy; or give another with --config.")
    written = _write(call, file, checkout_here().template)
    call.answer(written)
    return ExitCode.DONE


def deploy(call: Call, file: Path) -> ExitCode:
    """Deploy what the file says; the first time, make the file."""
    checkout = checkout_here()
    template = checkout.template
    if not file.exists():
        if not call.output.complaints.is_terminal:
            raise UsageError(
                f"There is no {file}: run {_with_file(call, 'init', file)}, or see "
                "docs/deploying.md for CI."
            )
        _write(call, file, template).show(call.output.complaints)
    answers = read_answers(file)
    call = about(call, answers, file)
    check_parameters(file, answers, template)
    with in_a_sentence(call.profile):
        return _deploy(call, file, answers, checkout, template)


def _deploy(
    call: Call, file: Path, answers: Answers, checkout: Checkout, template: Template
) -> ExitCode:
    call.say_where()
    stack = _updatable(call, file)
    if not call.is_confirmed and not call.output.complaints.is_terminal:
        raise UsageError(
            "deploy shows what it would change, and asks. Give --yes where no one can answer."
        )
    if stack is None and _has_enhanced_scanning(call):
        call.confirm(f"{ENHANCED} Deploy?", NOTHING_DEPLOYED)
    if stack is not None:
        _show_kept(call, stack, answers, template)
    checkout.build()
    return _deploy_built(call, checkout, file, stack)


def _write(call: Call, file: Path, template: Template) -> Written:
    """Write the file of a stack that exists, or of the answers to some questions."""
    _check_writable(file)
    stack = _updatable(call, file)
    parameters: Mapping[str, str]
    if stack is None:
        parameters = questions.ask(call.output, call.account, call.address.stack, template)
    else:
        parameters = stack.parameters
        gone = sorted(stack.parameters.keys() - template.parameters.keys())
        if gone:
            call.output.complain(
                f"This version has no {', '.join(gone)}: docs/upgrading.md says what replaces them."
            )
    answers = Answers(
        call.address.stack,
        call.account.region,
        {
            name: parameters[name]
            for name, each in template.parameters.items()
            if parameters.get(name, each.default) != each.default
        },
    )
    file.write_text(answers_text(answers, template), "utf-8")
    return Written(file, answers)


def _check_writable(file: Path) -> None:
    """Raise UsageError before any question if no file can be made beside the one to write.

    The answers are not asked twice, and one of them goes into a secret immediately.
    """
    try:
        with NamedTemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        reason = visible(str(error.strerror))
        raise UsageError(f"{file} cannot be written: {reason}. Give another --config.") from error


def _updatable(call: Call, file: Path) -> Stack | None:
    """Return the stack if there is one; raise CommandError if it cannot be updated."""
    account, name = call.account, call.address.stack
    stack = existing(account, name)
    if stack is None or stack.status == PLANNED:
        return None
    if stack.status in ONLY_DELETABLE:
        raise CommandError(
            f"The stack {name} is in {stack.status}, and can only be deleted: run "
            f"{_with_file(call, 'undeploy', file)}, then deploy again."
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        go_on = aws(stack, "cloudformation continue-update-rollback", stack_name=name)
        raise CommandError(
            f"The stack {name} is in {stack.status}: repair what the last events name, then run "
            f"{go_on}"
        )
    if stack.status.endswith("_IN_PROGRESS"):
        raise CommandError(
            f"The stack {name} is in {stack.status}: deploy again when that has ended."
        )
    return stack


def _with_file(call: Call, command: str, file: Path) -> str:
    """Write a command about the stack of a file of answers."""
    return own(call, command) if file == FILE else own(call, command, config=str(file))


def _has_enhanced_scanning(call: Call) -> bool:
    return EcrRegistry(call.account.client("ecr")).scan_type() == "ENHANCED"


def _show_kept(call: Call, stack: Stack, answers: Answers, template: Template) -> None:
    """Show what the stack has and the file does not name: CloudFormation keeps such values."""
    kept = {
        name: stack.parameters[name]
        for name, each in template.parameters.items()
        if name not in answers.parameters
        and stack.parameters.get(name, each.default) != each.default
    }
    if not kept:
        return
    lines = [
        f"{name} = {toml_text(value)}, not {toml_text(template.parameters[name].default)}"
        for name, value in kept.items()
    ]
    call.output.complain(
        "Kept, because the file does not name them; to reset one, write its default there:\n  "
        + "\n  ".join(lines)
    )


def _deploy_built(call: Call, checkout: Checkout, file: Path, before: Stack | None) -> ExitCode:
    account, name = call.account, call.address.stack
    options = ["--stack-name", name, "--region", account.region]
    options += ["--no-confirm-changeset"] if call.is_confirmed else ["--confirm-changeset"]
    options += ["--profile", call.address.profile] if call.address.profile else []
    left_before = _change_sets(call, before)
    code = checkout.deploy(file, *options)
    after = existing(account, name)
    if code:
        raise CommandError(_failed(call, file, before, after))
    # SAM ends with 0, too, if the operator answers no, and leaves the change set.
    if after is None or after.status == PLANNED or _change_sets(call, before) - left_before:
        raise Declined(NOTHING_DEPLOYED)
    has_changed = before is None or before.changed_at != after.changed_at
    call.answer(Deployed(after, account.region, has_changed, is_new=before is None))
    return ExitCode.DONE


def _change_sets(call: Call, stack: Stack | None) -> set[str]:
    """Return the change sets of a stack that could be executed, where SAM asks for a yes."""
    if stack is None or call.is_confirmed:
        return set()
    pages = stack.client("cloudformation").get_paginator("list_change_sets")
    return {
        each["ChangeSetId"]
        for page in pages.paginate(StackName=stack.name)
        for each in page["Summaries"]
        if each.get("ExecutionStatus") == "AVAILABLE"
    }


def _failed(call: Call, file: Path, before: Stack | None, after: Stack | None) -> str:
    """Say how a deployment failed, what the stack is like now, and what to do."""
    is_untouched = (
        before is not None and after is not None and before.changed_at == after.changed_at
    )
    if after is None or after.status == PLANNED or is_untouched:
        return "sam deploy failed before it changed anything: what it says is above."
    if after.status in ONLY_DELETABLE:
        advice = f"Repair that, run {_with_file(call, 'undeploy', file)}, and deploy again."
    elif after.status == "UPDATE_ROLLBACK_COMPLETE":
        advice = "The stack is as before: repair that, and deploy again."
    else:
        advice = "Repair that, and deploy again."
    reasons = textwrap.indent("\n".join(failures(call.account, after.name)), "  ")
    return f"The stack {after.name} is in {after.status}:\n{reasons}\n{advice}"
