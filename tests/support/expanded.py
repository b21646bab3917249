"""The expanded template, linted for every partition.

It runs in the environment of SAM: `.venvs/sam/bin/python -m tests.support.expanded FILE`.
"""

import json
import re
import sys
from pathlib import Path

from cfnlint.api import ManualArgs, lint

from operations.expanded import expanded
from tests.support.deploy_role import KINDS

ROOT = Path(__file__).parents[2]
REGIONS = (  # one of each partition
    "eu-central-1",
    "cn-north-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
    "eusc-de-east-1",
)
UPLOADED = "s3://any/where"  # SAM expands a template after it has uploaded its files


def text_for(region: str) -> str:
    """Write the template of a Region, with the checks that checkov is to skip."""
    found = expanded(region, lambda _: UPLOADED)
    for name, skipped in skips().items():
        found["Resources"][name].setdefault("Metadata", {})["checkov"] = {"skip": skipped}
    return json.dumps(found, indent=2)


def skips() -> dict[str, list[dict[str, str]]]:
    """Find the checks of checkov that comments skip, which SAM drops, by resource.

    They are comments because SAM builds functions together only if their metadata is the same.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for line in (ROOT / "template.yaml").read_text().splitlines():
        if resource := re.fullmatch(r"  (\w+):", line):
            name = resource[1]
        elif skip := re.fullmatch(r"    # checkov:skip=(\w+):(.+)", line):
            found.setdefault(name, []).append({"id": skip[1], "comment": skip[2]})
    return found


def alike(templates: dict[str, str]) -> dict[str, list[str]]:
    """Group Regions whose templates differ in nothing but the partition of managed policies."""
    groups: dict[str, list[str]] = {}
    for region, text in templates.items():
        groups.setdefault(re.sub(r"arn:aws[a-z-]*:iam::aws:", "", text), []).append(region)
    return {templates[regions[0]]: regions for regions in groups.values()}


def main(file: str) -> int:
    """Write the template of the first Region to a file, and lint those of all Regions."""
    templates = {region: text_for(region) for region in REGIONS}
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(templates[REGIONS[0]])
    matches: list[object] = [
        match
        for text, regions in alike(templates).items()
        for match in lint(text, config=ManualArgs(regions=regions))
    ]
    kinds = {each["Type"] for each in json.loads(templates[REGIONS[0]])["Resources"].values()}
    matches += [f"tests/support/deploy_role.py lacks {kind}" for kind in kinds - {*KINDS}]
    for match in matches:
        print(match)  # noqa: T201 # the output of the command
    print(f"{len(matches)} faults in the expanded template, in {len(REGIONS)} partitions")  # noqa: T201
    return min(len(matches), 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
