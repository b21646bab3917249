"""`make audit`: look up known vulnerabilities of all pinned packages, and say what is not known.

pip-audit alone is not enough: it ends with 0 and "No known vulnerabilities found" even if its
database knows none of the packages, as behind a package index that only serves files.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

FILES = (Path("functions/requirements.txt"), *sorted(Path("requirements").glob("*.txt")))
PIP_AUDIT = (
    *(sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"),
    *("--progress-spinner", "off", "--format", "json", "--requirement"),
)

type Ask = Callable[[Path], str]


@dataclass
class Audit:
    """What the database said about some files.

    vulnerable: package, version, and vulnerabilities, by file. unknown: packages that were not
    judged, by file; with the name "*" when the database did not answer.
    """

    judged: int = 0
    vulnerable: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 1 for vulnerabilities, 2 if any package was not judged, and 0 otherwise."""
        return 1 if self.vulnerable else 2 if self.unknown or not self.judged else 0

    @property
    def words(self) -> str:
        """Return a sentence that claims no more than was found."""
        vulnerable = len(self.vulnerable) or "none"
        if self.unknown or not self.judged:
            return (
                f"Not audited: {len(self.unknown)} packages or files, for which the database did "
                f"not answer; {self.judged} judged, {vulnerable} with known vulnerabilities"
            )
        return f"Audited: {self.judged} packages, {vulnerable} with known vulnerabilities"


def audit(files: Iterable[Path], ask: Ask) -> Audit:
    """Ask for the packages of each file, until the database does not answer at all."""
    audit = Audit()
    for path in files:
        try:
            packages = json.loads(ask(path))["dependencies"]
        except ValueError:  # no JSON, but the traceback of a connection
            audit.unknown.append(f"{path}: *")
            break
        for package in packages:
            name = f"{path}: {package['name']}"
            if "skip_reason" in package:
                audit.unknown.append(name)
                continue
            audit.judged += 1
            if package["vulns"]:
                ids = ", ".join(each["id"] for each in package["vulns"])
                audit.vulnerable.append(f"{name} {package['version']}: {ids}")
    return audit


def pip_audit(path: Path) -> str:
    """Return what pip-audit writes, and print the end of its error if it writes nothing."""
    ran = subprocess.run([*PIP_AUDIT, path], capture_output=True, text=True, check=False)  # noqa: S603 # no shell
    if not ran.stdout:
        print(ran.stderr.strip().rpartition("\n")[2])  # noqa: T201
    return ran.stdout


def main() -> int:
    """Audit all files, print what is vulnerable or not known, and return the exit code."""
    result = audit(FILES, pip_audit)
    for line in (*result.vulnerable, *result.unknown):
        print(line)  # noqa: T201
    print(result.words)  # noqa: T201
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
