"""The AWS commands that documents show, checked against the API that they call."""

import itertools
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.model import OperationModel

# Options of the AWS CLI itself.
GLOBAL = {"--query", "--output", "--region", "--profile", "--max-items"}
API = {"s3api": "s3"}  # where the CLI has another name for it
# Commands that the CLI makes of several calls, with the options that are used here.
HIGH_LEVEL = {
    ("s3", "cp"): {"--recursive", "--exclude", "--include"},
    ("s3", "rm"): set[str](),
    ("cloudformation", "wait"): {"--stack-name"},
}


def commands(document: Path) -> Iterator[str]:
    """Find the AWS commands in the code of a document, each on one line."""
    text = document.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    spans = re.findall(r"`(aws [^`]+)`", text)
    for command in (*lines, *spans):
        # A command within a command is one of its own.
        yield from re.findall(r"\$\((aws .*?)\)", command)
        whole = re.sub(r"\$\(.*?\)", "VALUE", command)
        if found := re.search(r"(?:^|=)\s*(aws .*)", whole):
            yield found[1]


def complaints(command: str) -> list[str]:
    """List what the AWS CLI or the API would refuse of a command."""
    words = shlex.split(command)
    service, operation = words[1:3]
    options = {
        word: following for word, following in itertools.pairwise([*words[3:], ""]) if _option(word)
    }
    if (service, operation) in HIGH_LEVEL:
        return sorted(options.keys() - HIGH_LEVEL[service, operation])
    if "--query" in options:
        jmespath.compile(options["--query"])
    model = _operations(service).get(operation)
    if model is None:
        return [f"{service} has no {operation}"]
    shape = model.input_shape
    if shape is None:
        return []
    members = {f"--{xform_name(name, '-')}": member for name, member in shape.members.items()}
    given = options.keys() - GLOBAL
    required = {f"--{xform_name(name, '-')}" for name in shape.required_members}
    return [
        *(f"unknown option {name}" for name in sorted(given - members.keys())),
        *(f"missing option {name}" for name in sorted(required - given)),
    ]


def _option(word: str) -> bool:
    return word.startswith("--")


@cache
def _operations(service: str) -> dict[str, OperationModel]:
    """Return the operations of a service as the CLI names them."""
    model = botocore.session.get_session().get_service_model(API.get(service, service))
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}
