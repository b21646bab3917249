"""Part of `make package`: what AWS takes without SAM, as StackSets and Terraform need it.

`python -m operations.package BUILD DIRECTORY` writes the expanded template, the code, and the
definitions into the directory, under the keys that they have in a bucket of each Region. It runs in
the environment of SAM. See docs/deploying.md.
"""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from operations.expanded import expanded, for_every_partition

ROOT = Path(__file__).parents[1]
PREFIX = "ArtifactBucketPrefix"
BUCKET = {"Fn::Sub": f"${{{PREFIX}}}-${{AWS::Region}}"}
METADATA = "AWS::CloudFormation::Interface"  # of the rest, only SAM's repository has a use
ANY_REGION = "eu-central-1"
LARGEST_TEMPLATE = 1_000_000  # bytes that CloudFormation reads from S3
OLDEST = (1980, 1, 1, 0, 0, 0)  # of a file in an archive, so that equal code is an equal archive


def package(build: Path, directory: Path) -> Path:
    """Write all files, and return the template among them."""
    document = json.loads(json.dumps(expanded(ANY_REGION, _nowhere)))
    version = document["Metadata"]["AWS::ServerlessRepo::Application"]["SemanticVersion"]
    files = _Files(directory, f"ecr-rescan/{version}")
    code = files.put("functions", ".zip", _archive(_package_of_a_function(build)))

    def place(path: str) -> Any:
        if path.endswith(".asl.yaml"):
            name = Path(path).name.removesuffix(".asl.yaml")
            return files.put(name, ".asl.yaml", (ROOT / path).read_bytes())
        return code

    template = for_every_partition(expanded(ANY_REGION, place))
    interface = template["Metadata"][METADATA]
    interface["ParameterGroups"].append({"Label": {"default": "Files"}, "Parameters": [PREFIX]})
    template["Metadata"] = {METADATA: interface}
    template["Parameters"][PREFIX] = {
        "Type": "String",
        "MinLength": 1,
        "Description": "Beginning of the name of the bucket with the files of this release, up to "
        "the hyphen before the Region: ecr-rescan-files, if it is ecr-rescan-files-eu-central-1.",
    }
    text = json.dumps(template, separators=(",", ":"))
    if len(text.encode()) > LARGEST_TEMPLATE:
        raise ValueError(f"The template has more than {LARGEST_TEMPLATE:,} bytes.")
    path = directory / files.prefix / "template.json"
    path.write_text(text)
    return path


class _Files:
    """The files of a release, named by what is in them, so that new code has a new name."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.prefix = prefix
        self._directory = directory / prefix
        self._directory.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, ending: str, content: bytes) -> dict[str, Any]:
        """Write a file, and return its place in S3."""
        named = f"{name}-{hashlib.sha256(content).hexdigest()[:16]}{ending}"
        (self._directory / named).write_bytes(content)
        return {"Bucket": BUCKET, "Key": f"{self.prefix}/{named}"}


def _nowhere(_path: str) -> str:
    return "s3://any/where"


def _package_of_a_function(build: Path) -> Path:
    """Return one of the packages, which are equal."""
    return min(path for path in build.iterdir() if path.is_dir())


def _archive(directory: Path) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(directory).as_posix(), OLDEST)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return written.getvalue()


if __name__ == "__main__":
    print(package(*map(Path, sys.argv[1:])))  # noqa: T201 # the output of the command
