"""The parts of the documents that are generated from other files: `make docs` writes them.

A part is everything between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from pathlib import Path

from tests.support.definition import WORKFLOWS
from tests.support.deploy_role import policy_text
from tests.support.diagram import diagram
from tests.support.errors import error_table, picture, state_table
from tests.support.faults import Begins, fault_table
from tests.support.forged import forged_table
from tests.support.parameters import parameter_tables
from tests.support.report_pictures import take_pictures
from tests.support.roles import role_table
from tests.support.template import ROOT
from tests.support.third_parties import third_party_table

DOCS = ROOT / "docs"


def generated() -> dict[Path, str]:
    """Write every document that has generated parts, as it must be, by its path."""
    parts = {
        DOCS / "workflows.md": {
            f"diagram of {workflow.name}": _mermaid(diagram(workflow)) for workflow in WORKFLOWS
        },
        DOCS / "errors.md": {
            **{f"errors of {workflow.name}": _mermaid(picture(workflow)) for workflow in WORKFLOWS},
            "classes": error_table(),
            "retries": state_table(),
        },
        DOCS / "third-party.md": {"third parties": third_party_table()},
        DOCS / "architecture.md": {"events that are not what they seem": forged_table()},
        DOCS / "faults.md": {f"faults of {begins}": fault_table(begins) for begins in Begins},
        DOCS / "deploying.md": {"permissions of a deploy role": policy_text()},
        DOCS / "parameters.md": {"parameters": parameter_tables()},
        DOCS / "security.md": {"roles": role_table()},
    }
    return {path: _filled(path.read_text(), texts) for path, texts in parts.items()}


def _filled(document: str, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if document.count(begin) != 1 or document.count(end) != 1:
            raise ValueError(f"{name} must be marked once")
        before, _, rest = document.partition(begin)
        document = f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    return document


def _mermaid(text: str) -> str:
    return f"```mermaid\n{text}```\n"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
    take_pictures()
