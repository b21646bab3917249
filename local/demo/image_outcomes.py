"""What was decided for each image of a run, put together from what the run left behind."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from local.demo.rescan_run import ImageOutcome, RepositoryRecord

type ImageOutcomes = dict[str, dict[str, ImageOutcome]]

_KEYS = ("run", "repository", "digest", "outcome", "reason")


class OutcomesDisagreeError(Exception):
    """The log tells other outcomes than the records: one of them is wrong."""


def read_log(run: str, lines: Iterable[str]) -> ImageOutcomes:
    """Read the outcomes from the functions' log lines, which name an image each."""
    images: ImageOutcomes = {}
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:  # of a process that died: not one of ours
            continue
        if isinstance(said, dict) and said.get("run") == run and said.keys() >= set(_KEYS):
            decided = ImageOutcome(said["outcome"], said["reason"])
            # A slice that is retried decides again: the last line is the one that counts.
            images.setdefault(said["repository"], {})[said["digest"]] = decided
    return images


def disagreement(images: ImageOutcomes, records: Mapping[str, RepositoryRecord]) -> str | None:
    """Compare images with the records, and say in one sentence where they disagree, if they do.

    A repository that failed before its images were counted has a record without images.
    """
    for repository, record in sorted(records.items()):
        if record.status == "FAILED" and not record.images:
            continue
        decided = Counter(images.get(repository, {}).values())
        if decided != record.images:
            return (
                f"{repository}: its record counts {_wording(record.images - decided)} that its log "
                f"does not show, and its log {_wording(decided - record.images)} that its record "
                "does not count."
            )
    return None


def _wording(images: Counter[ImageOutcome]) -> str:
    if not images:
        return "nothing"
    each = (f"{count} {image.outcome} ({image.reason})" for image, count in images.items())
    return ", ".join(sorted(each))
