"""The command report: which images are shown, what is written, and how it ends."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.call import Call
from cli.exits import ExitCode, UsageError
from cli.output import csv_text
from cli.report.details import calls_per_second, with_details
from cli.report.document import Freshness, Report, ReportedImage
from cli.report.read import Affected, Scope, read, read_affected
from cli.report.rows import finding_rows, image_document, image_row, report_document
from cli.report.screen import show_affected, show_report
from cli.report.totals import CRITICAL, oldest_first, open_counts
from registry.ecr import EcrRegistry
from registry.findings import SEVERITIES, severity_rank
from runtime.nouns import counted

if TYPE_CHECKING:
    from rich.console import Console

MOST_SHOWN = 20
OVERDUE = "overdue"
LEVELS = (*(severity.lower() for severity in SEVERITIES[:4]), OVERDUE)
_MOST_COMPLAINTS = 10


@dataclass(frozen=True)
class Wanted:
    """What the options say. worst, oldest: how many; 0: all."""

    worst: int | None = None
    oldest: int | None = None
    is_overdue: bool = False
    vulnerability: str | None = None
    repository: str | None = None
    fail_on: str | None = None
    html: Path | None = None
    csv: Path | None = None
    has_details: bool = False
    as_of_run: str | None = None


@dataclass(frozen=True)
class ReportAnswer:
    """The report with the images that are shown. selection: by which option."""

    report: Report
    images: Sequence[ReportedImage]
    selection: str

    def document(self) -> Mapping[str, object]:
        """Return the report with the images that are shown."""
        images = [image_document(each) for each in self.images]
        return {**report_document(self.report), "selection": self.selection, "images": images}

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per image."""
        return map(image_row, self.images)

    def show(self, console: "Console") -> None:
        """Print verdict, images and totals."""
        show_report(self.report, self.images, console)
        if self.selection == "worst" and (left := self._left()):
            console.print(
                f"{left:,} more with criticals: --worst 0 shows all, --html and --csv write files.",
                soft_wrap=True,
            )

    def _left(self) -> int:
        shown = sum(CRITICAL in open_counts(image) for image in self.images)
        return self.report.totals.images_with.get(CRITICAL, 0) - shown


@dataclass(frozen=True)
class AffectedAnswer:
    """The images that have a vulnerability."""

    affected: Affected

    def document(self) -> Mapping[str, object]:
        """Return the images with the findings of this vulnerability alone."""
        affected = self.affected
        return {
            **vars(affected),
            "missing": list(affected.missing),
            "images": [image_document(each) for each in affected.images],
        }

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Return a row per finding."""
        return finding_rows(self.affected.images)

    def show(self, console: "Console") -> None:
        """Print a row per finding, and what was searched."""
        show_affected(self.affected, console)


def report(call: Call, wanted: Wanted) -> ExitCode:
    """Answer which images are worst, oldest or overdue, or have a vulnerability."""
    _check(wanted)
    scope = Scope(wanted.repository, wanted.as_of_run)
    with call.output.waiting("Reading the ledger and listing the registry"):
        if wanted.vulnerability is None:
            found = read(call.stack, scope)
        else:
            affected = read_affected(call.stack, scope, wanted.vulnerability)
    if wanted.vulnerability is None:
        missing = _answer_report(call, wanted, found)
        is_bad = _is_above(wanted.fail_on, found.images)
    else:
        call.answer(AffectedAnswer(affected))
        missing = affected.missing
        is_bad = _is_above(wanted.fail_on, map(_with_listed_alone, affected.images))
    _complain(call, missing)
    if is_bad:
        return ExitCode.BAD
    return ExitCode.INCOMPLETE if missing else ExitCode.DONE


def _check(wanted: Wanted) -> None:
    """Raise UsageError for options that contradict each other, and for wrong values."""
    chosen = {
        "--worst": wanted.worst is not None,
        "--oldest": wanted.oldest is not None,
        "--overdue": wanted.is_overdue,
        "--vulnerability": wanted.vulnerability is not None,
    }
    given = [name for name, is_given in chosen.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} cannot be combined: give one of them.")
    _check_texts(wanted)
    for name, most in (("--worst", wanted.worst), ("--oldest", wanted.oldest)):
        if most is not None and most < 0:
            raise UsageError(f"{name} must be a number of images, or 0 for all, not {most}.")
    if wanted.fail_on is not None and wanted.fail_on not in LEVELS:
        raise UsageError(f"--fail-on must be one of {', '.join(LEVELS)}.")
    of_all = [name for name, path in (("--html", wanted.html), ("--csv", wanted.csv)) if path]
    if wanted.vulnerability is not None and (of_all or wanted.has_details):
        option = next(iter(of_all), "--details")
        raise UsageError(
            f"{option} is for the whole report: leave out --vulnerability, or use -o csv."
        )
    for path in filter(None, (wanted.html, wanted.csv)):
        _check_file(path)


def _check_texts(wanted: Wanted) -> None:
    """Refuse empty values: a variable of a pipeline that is not set must not mean everything."""
    if wanted.vulnerability == "":
        raise UsageError("--vulnerability must be a name, such as CVE-2026-31337.")
    if wanted.repository == "":
        raise UsageError("--repository is empty: give a pattern, or leave it out for all.")
    if wanted.as_of_run == "":
        raise UsageError(
            "--as-of-run is empty: give the name of a run, or latest, or leave it out for the "
            "images that ECR has now."
        )


def _check_file(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is read."""
    with _writing(path):
        if path.is_dir():
            raise UsageError(f"{path} is a directory: name a file in it.")
        if not path.parent.is_dir():
            raise UsageError(f"{path} cannot be written: there is no directory {path.parent}.")


def _answer_report(call: Call, wanted: Wanted, report: Report) -> tuple[str, ...]:
    """Write the report in the forms that are wanted, and return what is missing."""
    selection, images = _selected(report, wanted)
    if wanted.has_details:
        registry = EcrRegistry(call.stack.client("ecr"))
        with call.output.waiting(f"Asking ECR for {counted(len(images), 'image')}"):
            images, missing = with_details(images, registry, calls_per_second(call.stack))
        detailed = {(image.repository, image.image_digest): image for image in images}
        report = replace(
            report,
            images=tuple(
                detailed.get((image.repository, image.image_digest), image)
                for image in report.images
            ),
            missing=(*report.missing, *missing),
        )
    if wanted.html:
        from cli.report.page import page  # noqa: PLC0415 # its templates are read only here

        _write(wanted.html, page(report))
    if wanted.csv:
        beside = wanted.csv.with_stem(f"{wanted.csv.stem}-findings")
        _write(wanted.csv, csv_text(map(image_row, report.images)))
        _write(beside, csv_text(finding_rows(report.images)))
    call.answer(ReportAnswer(report, images, selection))
    return report.missing


def _selected(report: Report, wanted: Wanted) -> tuple[str, Sequence[ReportedImage]]:
    """Return the images to show, and by which option."""
    if wanted.is_overdue:
        oldest = oldest_first(report.images)
        return "overdue", [each for each in oldest if each.freshness is Freshness.OVERDUE]
    if wanted.oldest is not None:
        return "oldest", oldest_first(report.images)[: wanted.oldest or None]
    most = MOST_SHOWN if wanted.worst is None else wanted.worst
    if most == 0:
        return "worst", report.images
    return "worst", [each for each in report.images if open_counts(each)][:most]


def _is_above(level: str | None, images: Iterable[ReportedImage]) -> bool:
    """Return whether an image is worse than --fail-on allows."""
    if level is None:
        return False
    if level == OVERDUE:
        return any(image.freshness is Freshness.OVERDUE for image in images)
    limit = severity_rank(level.upper())
    return any(
        severity_rank(severity) <= limit for image in images for severity in open_counts(image)
    )


def _with_listed_alone(image: ReportedImage) -> ReportedImage:
    """Return an image that has the findings that are listed, and no others."""
    open_ones = Counter(each.severity for each in image.findings if not each.accepted)
    return replace(image, counts=open_ones, accepted_counts={})


def _complain(call: Call, missing: Sequence[str]) -> None:
    for sentence in missing[:_MOST_COMPLAINTS]:
        call.output.complain(sentence)
    if len(missing) > _MOST_COMPLAINTS:
        more = counted(len(missing) - _MOST_COMPLAINTS, "more part")
        call.output.complain(f"{more} could not be read: -o json lists all.")


def _write(path: Path, text: str) -> None:
    with _writing(path):
        # As it is: lines of CSV end with CR and LF on every system.
        path.write_text(text, encoding="utf-8", newline="")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
