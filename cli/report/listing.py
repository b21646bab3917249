"""Which images exist now, as ECR lists them, and which of them a run would leave out."""

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cli.aws_errors import command_error
from cli.exits import CommandError, UsageError
from cli.patterns import NotAPattern, checked
from ledger.attributes import Key
from registry.ecr import EcrRegistry
from registry.errors import (
    AccessDenied,
    EcrError,
    EcrThrottled,
    EcrUnavailable,
    PageTokenRefused,
    RepositoryNotFound,
)
from registry.images import Image
from reporting.text import visible
from rescan_registry.outcomes import Decision
from rescan_registry.policy import RescanPolicy
from rescan_registry.registry_listing import Waiting, repository_names
from rescan_registry.selection import decisions_on
from runtime.patterns import QUICK, PatternTooSlow, matching_texts
from runtime.settings import SettingsError

AT_ONCE = 8  # repositories that are listed at the same time
_REFUSALS = (AccessDenied, EcrError, EcrThrottled, EcrUnavailable, PageTokenRefused)


@dataclass(frozen=True)
class ListedImage:
    """An image that exists. decision: why a run leaves it out, by the listing alone."""

    repository: str
    image: Image
    decision: Decision | None = None


@dataclass(frozen=True)
class Listing:
    """The images of some repositories.

    listed: those of which all images are known; one that does not exist has none.
    missing: what could not be listed, in sentences.
    """

    repositories: int = 0
    images: tuple[ListedImage, ...] = ()
    listed: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()

    def lacks(self, key: Key) -> bool:
        """Return whether an image certainly does not exist."""
        return key[0] in self.listed and key not in self._keys

    @cached_property
    def _keys(self) -> frozenset[Key]:
        return frozenset((each.repository, each.image.digest) for each in self.images)


@dataclass(frozen=True)
class Lister:
    """Lists images by the parameters of a stack. registry: with the operator's credentials."""

    registry: EcrRegistry
    policy: RescanPolicy
    now: datetime

    def list_images(self, repositories: Collection[str]) -> Listing:
        """List the images of some repositories; those that do not exist have none.

        Raises what ECR has refused if it has refused all of them.
        """
        refused: dict[str, Exception] = {}

        def listed(repository: str) -> tuple[ListedImage, ...] | None:
            try:
                return self._images_of(repository)
            except RepositoryNotFound:
                return None
            except _REFUSALS as error:
                refused[repository] = error
                return None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            parts = list(pool.map(listed, sorted(repositories)))
        if refused and len(refused) == len(parts):
            raise next(iter(refused.values()))
        found = [part for part in parts if part is not None]
        return Listing(
            len(found),
            tuple(image for part in found for image in part),
            frozenset(repositories) - refused.keys(),
            tuple(
                f"The images of {visible(repository)} are missing: {command_error(error)}"
                for repository, error in sorted(refused.items())
            ),
        )

    def _images_of(self, repository: str) -> tuple[ListedImage, ...]:
        page = self.registry.images(repository)
        # ECR may list an image on two pages, because others were pushed in between.
        images = {image.digest: image for image in page.images}
        while page.cursor:
            page = self.registry.images(repository, page.cursor)
            images |= {image.digest: image for image in page.images}
        try:
            decisions = decisions_on(images.values(), self.policy, self.now)
        except SettingsError as error:
            raise CommandError(f"{error}. Correct the parameter, and deploy again.") from error
        return tuple(
            ListedImage(repository, image, decisions[digest]) for digest, image in images.items()
        )


def repositories_of(registry: EcrRegistry, repository_filter: str) -> frozenset[str]:
    """Name the repositories that a run over the whole registry takes."""
    return filtered(repository_names(registry, Waiting()), repository_filter)


def filtered(names: Iterable[str], repository_filter: str) -> frozenset[str]:
    """Return those of some repositories that RepositoryFilter selects."""
    try:
        return matching_texts(repository_filter, names)
    except PatternTooSlow as error:
        raise CommandError(
            f"RepositoryFilter must be {QUICK}, not {visible(repository_filter)}: "
            "correct the parameter, and deploy again."
        ) from error


def matching(repositories: Iterable[str], pattern: str | None) -> frozenset[str]:
    """Return the repositories that a pattern of the operator matches; raise UsageError."""
    if pattern is None:
        return frozenset(repositories)
    try:
        return matching_texts(checked(pattern), repositories)
    except NotAPattern as error:
        raise UsageError(f"--repository {error}.") from error
    except PatternTooSlow as error:
        raise UsageError(f"--repository must be {QUICK}, not {visible(error.pattern)}") from error
