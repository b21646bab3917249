"""The pictures in the README, drawn from the definitions: `make diagram` puts them there."""

from collections.abc import Iterator
from typing import Any

from tests.support.definition import WORKFLOWS, Workflow
from tests.support.template import ROOT

README = ROOT / "README.md"
BEGIN, END = "```mermaid\n", "```\n"
SHAPES = {"Choice": ("{{", "}}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}


def diagram(workflow: Workflow) -> str:
    """Draw a state machine as a Mermaid flowchart."""
    return "\n".join(["flowchart TD", *_scope(workflow.definition, "  "), ""])


def readme_with_diagrams() -> str:
    """Read the README, with the pictures as they must be: one a workflow, in their order."""
    before, *rest = README.read_text().split(BEGIN)
    pictures = zip(WORKFLOWS, rest, strict=True)
    return before + "".join(
        BEGIN + diagram(workflow) + END + text.split(END, 1)[1] for workflow, text in pictures
    )


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
    return "a child execution each" if distributed else "some at once"


if __name__ == "__main__":
    README.write_text(readme_with_diagrams())
