"""A checkout of the repository: what only make and SAM can do."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cli.exits import CommandError, UsageError
from cli.template_parameters import Template, read_template

SAM = Path(".venvs") / "sam" / "bin" / "sam"  # as the Makefile installs it
STANDARD_ERROR = 2  # stdout has the answer of the command alone


@dataclass(frozen=True)
class Checkout:
    """The directory with template.yaml and Makefile."""

    root: Path

    @property
    def template(self) -> Template:
        """Return the parameters of its template."""
        return read_template(self.root / "template.yaml")

    def build(self) -> None:
        """Build lean packages; raise CommandError if that fails."""
        if code := self._run("make", "build"):
            raise CommandError(
                f"make build failed ({code}): what it says is above. AWS is as before."
            )

    def deploy(self, config: Path, *options: str) -> int:
        """Deploy what is built, with SAM, which shows the change set; return its exit code."""
        return self._run(
            *(str(self.root / SAM), "deploy", "--config-file", str(config.resolve())),
            *("--no-fail-on-empty-changeset", *options),
        )

    def _run(self, *command: str) -> int:
        # make deploy gives this command a path of its own, which pip and SAM must not see.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        try:
            ran = subprocess.run(  # noqa: S603 # the commands are ours
                command,
                cwd=self.root,
                env={**environment, "SAM_CLI_TELEMETRY": "0"},
                stdout=STANDARD_ERROR,
                check=False,
            )
        except FileNotFoundError as error:
            raise CommandError(f"{command[0]} is not installed.") from error
        return ran.returncode


def checkout_here() -> Checkout:
    """Return the checkout in the working directory; raise UsageError elsewhere."""
    root = Path.cwd()
    if not all((root / name).is_file() for name in ("template.yaml", "Makefile")):
        raise UsageError(
            f"{root} is not a checkout of ecr-rescan: this command builds from template.yaml and "
            "the functions. Change to one, or deploy what make package makes: docs/deploying.md."
        )
    return Checkout(root)
