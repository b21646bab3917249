"""What is new about a run as a whole: enhanced scanning, or nothing to rescan any more."""

from dataclasses import dataclass

from ledger.run_state import LastRun, RunState
from own_events.rescan_finished import RunChange
from rescan_registry.repository_choice import (
    ENHANCED_SCANNING,
    RepositoryChoice,
    Selection,
)
from runtime.nouns import counted

ENHANCED = "ENHANCED"


@dataclass(frozen=True)
class FoundByRun:
    """What a run found before it started a scan."""

    run: str
    dry_run: bool
    scan_type: str
    repositories: int
    choice: RepositoryChoice

    @property
    def is_compared(self) -> bool:
        """Return whether the run is compared with the one before, as every scheduled run is."""
        return not self.dry_run and self.choice.by in (Selection.PARAMETER, Selection.FILTER)

    @property
    def is_whole(self) -> bool:
        """Return whether the run is over all repositories that RepositoryFilter selects."""
        return self.choice.by is Selection.PARAMETER

    @property
    def moves_the_beginning(self) -> bool:
        """Return whether the next run begins where this one had to end."""
        return not self.dry_run and self.is_whole


@dataclass(frozen=True)
class News:
    """How a run compares with the run before, and what an operator must know about it.

    change: absent for a run that is not compared.
    """

    change: RunChange | None = None
    remark: str | None = None


def compare(found: FoundByRun, state: RunState) -> News:
    """Compare a run with the one before, and note it for the one after.

    Another attempt gives the same answer, because what was compared is noted too.
    """
    if not found.is_compared:
        return _news_of_chosen(found)
    before = state.run_before(found.run)
    state.note(noted(found, before), before=before)
    return news_of(found, before)


def news_of(found: FoundByRun, before: LastRun | None) -> News:
    """Compare a run over the registry with the one before."""
    change = _change(found, before)
    return News(change, _remark(found, before, change))


def noted(found: FoundByRun, before: LastRun | None) -> LastRun:
    """Return what the run after this one is compared with.

    A repository_filter in the input is for one run only: how many repositories it matches says
    nothing about the run after it. With enhanced scanning, none are listed.
    """
    counted = before.repositories if before else None
    if found.scan_type != ENHANCED and found.choice.by is Selection.PARAMETER:
        counted = found.repositories
    return LastRun(found.run, found.scan_type, counted)


def _news_of_chosen(found: FoundByRun) -> News:
    if found.scan_type == ENHANCED:
        return News(remark=ENHANCED_SCANNING)
    return News(remark=_nothing_matched(found)) if not found.repositories else News()


def _change(found: FoundByRun, before: LastRun | None) -> RunChange:
    was_enhanced = before is not None and before.scan_type == ENHANCED
    if found.scan_type == ENHANCED:
        return RunChange.UNCHANGED if was_enhanced else RunChange.ENHANCED_SCANNING
    if not found.repositories and _is_lost(found, before):
        return RunChange.NO_REPOSITORIES
    return RunChange.BASIC_SCANNING if was_enhanced else RunChange.UNCHANGED


def _is_lost(found: FoundByRun, before: LastRun | None) -> bool:
    """Return whether there were repositories before or, in a first run, a filter expects some."""
    if before is None or before.repositories is None:
        return bool(found.choice.pattern)
    return before.repositories > 0


def _remark(found: FoundByRun, before: LastRun | None, change: RunChange) -> str | None:
    match change:
        case RunChange.ENHANCED_SCANNING:
            return f"{ENHANCED_SCANNING} This is reported once, until it changes."
        case RunChange.BASIC_SCANNING:
            return (
                "The registry uses basic scanning again, so that runs start scans again."
                f"{'' if found.repositories else f' {_nothing_matched(found)}'}"
            )
        case RunChange.NO_REPOSITORIES:
            had = "This is the first run."
            if before and before.repositories:
                had = f"The run before had {before.repositories:,}."
            return f"{_nothing_matched(found)} {had} {_advice(found.choice)}"
    if found.scan_type == ENHANCED:
        return ENHANCED_SCANNING
    return _nothing_matched(found) if not found.repositories else None


def _nothing_matched(found: FoundByRun) -> str:
    choice = found.choice
    if choice.by is Selection.RERUN:
        return f"Every repository of the run {choice.pattern} is done, {choice.listed:,} in all."
    if not choice.listed:
        return "The registry has no repositories."
    return (
        f"No repository name matches the filter {choice.shown} from the start: "
        f"0 of {counted(choice.listed, 'repository')}."
    )


def _advice(choice: RepositoryChoice) -> str:
    if not choice.listed:
        return (
            "Check whether they were deleted on purpose, and whether the stack is in the right "
            "Region."
        )
    if choice.by is Selection.FILTER:
        return "Check repository_filter in the input of the run."
    return "Check the parameter RepositoryFilter."
