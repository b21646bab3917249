"""The pictures of the state machines in docs/workflows.md, drawn from the definitions."""

from collections.abc import Iterator
from typing import Any

from tests.support.definition import Workflow

SHAPES = {"Choice": ("{{", "}}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}


def diagram(workflow: Workflow) -> str:
    """Draw a state machine as a Mermaid flowchart."""
    return "\n".join(["flowchart TD", *_scope(workflow.definition, "  "), ""])


def _scope(scope: dict[str, Any], indent: str) -> Iterator[str]:
    for name, body in scope["States"].items():
        if body["Type"] == "Map":
            yield f'{indent}subgraph {name}["{name}: {_many(body)}"]'
            yield from _scope(body["ItemProcessor"], indent + "  ")
            yield f"{indent}end"
        else:
            opening, closing = SHAPES.get(body["Type"], ("[", "]"))
            yield f"{indent}{name}{opening}{name}{closing}"
        yield from _arrows(name, body, indent)


def _arrows(name: str, body: dict[str, Any], indent: str) -> Iterator[str]:
    for rule in body.get("Choices", []):
        yield f"{indent}{name} --> {rule['Next']}"
    for key in ("Default", "Next"):
        if key in body:
            yield f"{indent}{name} --> {body[key]}"
    for catcher in body.get("Catch", []):
        yield f"{indent}{name} -. on error .-> {catcher['Next']}"


def _many(body: dict[str, Any]) -> str:
    distributed = body["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    return "one child execution each" if distributed else "several concurrently"
