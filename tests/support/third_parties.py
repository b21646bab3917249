"""The packages of others that are deployed, and their licenses, from the metadata of packages."""

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution

from tests.support.template import ROOT

# By name, the version that functions/requirements.txt pins: tests run with the same ones.
DEPLOYED: dict[str, str] = dict(
    re.findall(r"^(\S+)==(\S+)", (ROOT / "functions" / "requirements.txt").read_text(), re.M)
)
MIT_0 = "License :: OSI Approved :: MIT No Attribution License (MIT-0)"


@dataclass(frozen=True)
class ThirdParty:
    """A package. license: SPDX identifier; license_file: its text, in the deployed package."""

    name: str
    version: str
    license: str
    license_file: str


def third_parties() -> list[ThirdParty]:
    """Read the licenses of all deployed packages."""
    return [_third_party(name) for name in sorted(DEPLOYED)]


def third_party_table() -> str:
    """Write the table of deployed packages."""
    rows = [
        f"| {each.name} | {each.version} | {each.license} | `{each.license_file}` |"
        for each in third_parties()
    ]
    return "\n".join(
        [
            "| package | version | license | text, in the package |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _third_party(name: str) -> ThirdParty:
    found = distribution(name)
    (text,) = (
        path.as_posix()
        for path in found.files or ()
        if path.name == "LICENSE" and ".dist-info" in path.as_posix()
    )
    return ThirdParty(name, found.version, _license(found), text)


def _license(found: Distribution) -> str:
    # Powertools names both: https://github.com/aws-powertools/powertools-lambda-python/blob/develop/LICENSE
    if MIT_0 in found.metadata.get_all("Classifier", []):
        return "MIT-0"
    return found.metadata.get("License-Expression") or found.metadata["License"]
