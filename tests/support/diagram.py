"""The picture in the README, drawn from the definition: `make diagram` puts it there."""

from collections.abc import Iterator
from typing import Any

from tests.support.definition import definition
from tests.support.template import ROOT

README = ROOT / "README.md"
BEGIN, END = "```mermaid\n", "```\n"
SHAPES = {"Choice": ("{{", "}}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}


def diagram() -> str:
    """Draw RescanRegistry as a Mermaid flowchart."""
    return "\n".join(["flowchart TD", *_scope(definition(), "  "), ""])


def readme_with_diagram() -> str:
    """Read the README, with the picture as it must be."""
    text = README.read_text()
    before, rest = text.split(BEGIN, 1)
    return before + BEGIN + diagram() + END + rest.split(END, 1)[1]


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
    README.write_text(readme_with_diagram())
