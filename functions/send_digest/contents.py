"""What a digest contains: the changes of many images, by vulnerability and by image."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby

from ledger.changes import Cause, Change, ChangedFinding
from ledger.digest_entries import DigestChange, DigestEntry, DigestImage, sort_key
from registry.findings import SEVERITIES, severity_rank
from reporting.changes import Seen, compare, difference
from reporting.decision import NotifyOn
from reporting.net_change import NetChange, net_change
from reporting.reports import (
    DigestedGroup,
    DigestedImage,
    DigestedVulnerability,
    MovedThreshold,
    NamedImage,
    News,
)
from reporting.thresholds import OTHER, threshold_of

MOST_EXAMPLES = 1_000  # images that the whole digest names of a vulnerability
MOST_WIDESPREAD = 100  # vulnerabilities that it names of images that are scanned for the first time
_NEWS = {
    "new": News.NEW,
    "back": News.BACK,
    "worse": News.RATED_HIGHER,
    "ended": News.NO_LONGER_ACCEPTED,
}
_FIXED = {"gone": News.FIXED, "better": News.RATED_LOWER, "accepted": News.ACCEPTED}
_ORDER = (
    Change.NEW,
    Change.WORSE,
    Change.FAILED,
    Change.BETTER,
    Change.UNCHANGED,
    Change.CLEARED,
)
# What one line says of all images, regardless of NotifyOn.
_IN_ONE_LINE = {
    Cause.THRESHOLD,
    Cause.FIRST_OF_TYPE,
    Cause.NOT_MONITORED,
    Cause.UNSUPPORTED,
}


@dataclass
class _Spread:
    """A vulnerability, and the images that the same is to be said of."""

    finding: ChangedFinding
    packages: dict[str, None] = field(default_factory=dict)
    images: int = 0
    repositories: set[str] = field(default_factory=set)
    examples: list[NamedImage] = field(default_factory=list)

    def add(self, findings: Sequence[ChangedFinding], image: DigestedImage) -> None:
        """Add an image that has the vulnerability, in some packages."""
        worst = min(findings, key=lambda it: severity_rank(it.severity))
        if severity_rank(worst.severity) < severity_rank(self.finding.severity):
            self.finding = worst
        for each in findings:
            if len(self.packages) < 10:
                self.packages[each.package] = None
        self.images += 1
        self.repositories.add(image.repository)
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(NamedImage(image.image, image.link))

    def digested(self, news: News) -> DigestedVulnerability:
        """Return it as the report has it."""
        finding = self.finding
        return DigestedVulnerability(
            name=finding.name,
            news=news,
            severity=finding.severity,
            packages=tuple(self.packages),
            images=self.images,
            repositories=len(self.repositories),
            examples=tuple(self.examples),
            was=finding.was,
            version=finding.version,
            fixed_in=finding.fixed_in,
            score=finding.score,
            uri=finding.uri,
            has_exploit=finding.has_exploit,
        )


type _Spreads = dict[tuple[News, str], _Spread]
type _Name = tuple[str, str, str]  # of an image, with its account and Region


@dataclass
class _StillOpen:
    """A vulnerability that is still open, with the finding of it that was seen first."""

    oldest: ChangedFinding
    spread: _Spread

    def add(self, findings: Sequence[ChangedFinding], image: DigestedImage) -> None:
        """Add an image that has the vulnerability, in some packages."""
        self.oldest = min(self.oldest, *findings, key=_age)
        self.spread.add(findings, image)

    @property
    def rank(self) -> tuple[int, str, int, str]:
        """Return what sorts vulnerabilities: by severity, then age, images and name."""
        first, images = self.oldest, self.spread.images
        return severity_rank(first.severity), first.first_seen, -images, first.name

    def digested(self) -> DigestedVulnerability:
        """Return it as the report has it."""
        return replace(
            self.spread.digested(News.STILL_OPEN),
            first_seen=self.oldest.first_seen,
            is_seen_later=self.oldest.is_seen_later,
        )


@dataclass(frozen=True)
class DigestPolicy:
    """The stack's parameters that decide what is in a digest, and how it says it."""

    notify_on: frozenset[NotifyOn]
    remind_after: timedelta


@dataclass(frozen=True)
class ReportedImage:
    """An image that a digest reports, as the ledger names it.

    revision: of its baseline; 0 of an image of version 0.3.0. expires_at: seconds since 1970.
    """

    repository: str
    image_digest: str
    revision: int = 0
    expires_at: int = 0


@dataclass
class Contents:
    """What a digest contains. Images are added one by one, so that their findings need not be kept.

    entries, keys: what it was read from: entries of version 0.3.0, and sort keys of changes.
    images: all that are listed, but for the groups `baseline` and `reminders`.
    reported: all that are listed, as the ledger names them.
    """

    policy: DigestPolicy
    entries: tuple[DigestEntry, ...] = ()
    keys: list[str] = field(default_factory=list)
    reported: list[ReportedImage] = field(default_factory=list)
    images: list[DigestedImage] = field(default_factory=list)
    baseline: list[DigestedImage] = field(default_factory=list)
    reminders: list[DigestedImage] = field(default_factory=list)
    images_with_news: int = 0
    images_cut: int = 0
    first_of_type: Counter[str] = field(default_factory=Counter)
    not_monitored: list[NamedImage] = field(default_factory=list)
    unsupported: dict[str, None] = field(default_factory=dict)
    _moved: dict[str, MovedThreshold] = field(default_factory=dict)
    _news: _Spreads = field(default_factory=dict)
    _fixed: _Spreads = field(default_factory=dict)
    _first_seen: _Spreads = field(default_factory=dict)
    _still_open: dict[tuple[str, str], _StillOpen] = field(default_factory=dict)
    _newest: dict[_Name, tuple[datetime, str]] = field(default_factory=dict)

    def add(self, changes: Sequence[DigestChange]) -> None:
        """Add the changes of one image, the oldest first."""
        latest = changes[-1].image
        name = _name(latest)
        newest = self._newest.get(name)
        if newest is None or newest[0] < latest.scanned_at:
            self._newest[name] = latest.scanned_at, latest.image_digest
        net = net_change(changes)
        if net is None:
            return
        self._add_to_lines(net)
        if not self._is_listed(net, changes):
            return
        image = _digested(net)
        reported = changes[-1].revision, changes[-1].expires_at
        self.reported.append(ReportedImage(latest.repository, latest.image_digest, *reported))
        if net.is_first_sight and net.change is Change.NEW:
            self.baseline.append(image)
            self._add_findings(net, image, _NEWS, self._first_seen)
        elif image.is_reminder:
            self.reminders.append(image)
            self._add_still_open(net.still_open, image)
        else:
            self.images.append(image)
            self.images_with_news += self._add_findings(net, image, _NEWS, self._news)
            self._add_findings(net, image, _FIXED, self._fixed)
            self.images_cut += net.by_name is not None and net.by_name.omitted is not None

    @property
    def has_entries(self) -> bool:
        """Return whether there was anything to read."""
        return bool(self.entries or self.keys)

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to report."""
        lines = (self._moved, self.first_of_type, self.not_monitored, self.unsupported)
        return self.count == 0 and not any(lines)

    @property
    def count(self) -> int:
        """Return the number of images that are listed."""
        return len(self.images) + len(self.baseline) + len(self.reminders)

    @property
    def changes(self) -> dict[Change, int]:
        """Count the listed images by change."""
        counted = Counter(image.change for image in self.images)
        return {kind: counted[kind] for kind in _ORDER if counted[kind]}

    @property
    def vulnerabilities(self) -> tuple[DigestedVulnerability, ...]:
        """Return what is new, back, rated higher or no longer accepted, the worst first."""
        return _worst_first(self._news)

    @property
    def fixed(self) -> tuple[DigestedVulnerability, ...]:
        """Return what is fixed, rated lower or accepted, the worst first."""
        return _worst_first(self._fixed)

    @property
    def thresholds(self) -> tuple[MovedThreshold, ...]:
        """Return the thresholds that were moved, and how many images that has moved."""
        return tuple(self._moved[name] for name in _PARAMETERS if name in self._moved)

    def listed(self, images: Iterable[DigestedImage]) -> tuple[DigestedImage, ...]:
        """Return images the worst first, with the image that has the tag of one by now."""
        return tuple(self._with_successor(each) for each in sorted(images, key=_rank))

    def baseline_group(self) -> DigestedGroup | None:
        """Return the images that a run has scanned for the first time."""
        widespread = sorted(_worst_first(self._first_seen), key=lambda it: -it.images)
        by_severity = sorted(widespread, key=lambda it: severity_rank(it.severity))
        return _group(self.listed(self.baseline), by_severity[:MOST_WIDESPREAD])

    def reminder_group(self) -> DigestedGroup | None:
        """Return the images in which nothing has changed for RemindAfter."""
        group = _group(self.listed(self.reminders), ())
        oldest = min(self._still_open.values(), key=lambda it: it.rank, default=None)
        return replace(group, oldest=oldest.digested()) if group and oldest else group

    def _is_listed(self, net: NetChange, changes: Sequence[DigestChange]) -> bool:
        """Return whether the image is listed: as its event was reported, or else by NotifyOn."""
        now = net.image.image_state
        if len(changes) == 1:
            return changes[0].notify and not (
                net.change is Change.UNCHANGED and net.causes & _IN_ONE_LINE
            )
        if net.change is Change.UNCHANGED:
            is_unchanged_listed = NotifyOn.UNCHANGED in self.policy.notify_on and not net.causes
            return now.is_alarm and (net.is_reminder or is_unchanged_listed)
        # The end of a failure is reported only where the failure itself was.
        is_only_that = not net.before.exceeded or bool(now.exceeded)
        if net.change is Change.CLEARED and net.is_end_of_failure and is_only_that:
            return {NotifyOn.CLEARED, NotifyOn.FAILED} <= self.policy.notify_on
        return NotifyOn(net.change) in self.policy.notify_on

    def _add_to_lines(self, net: NetChange) -> None:
        """Count the image where one line is said of many."""
        image, now = net.image, net.image.image_state
        named = NamedImage(image.image, image.link)
        if Cause.THRESHOLD in net.causes:
            self._add_to_thresholds(net)
        if Cause.FIRST_OF_TYPE in net.causes:
            self.first_of_type[now.scan_type or ""] += 1
        if Cause.NOT_MONITORED in net.causes and not now.is_monitored:
            self.not_monitored.append(named)
        if Cause.UNSUPPORTED in net.causes and now.is_unsupported:
            self.unsupported[image.repository] = None

    def _add_to_thresholds(self, net: NetChange) -> None:
        before, now = net.before, net.image.image_state
        names = {_parameter(name) for name in {*before.exceeded} ^ {*now.exceeded}}
        for name in names:
            is_above = any(_parameter(each) == name for each in now.exceeded)
            limits = {_parameter(each): most for each, most in (now.thresholds or {}).items()}
            moved = self._moved.get(name) or MovedThreshold(name, limits.get(name))
            self._moved[name] = replace(
                moved, above=moved.above + is_above, below=moved.below + (not is_above)
            )

    def _add_findings(
        self, net: NetChange, image: DigestedImage, lists: dict[str, News], into: _Spreads
    ) -> bool:
        """Add the findings of some lists, and return whether there are any."""
        if net.by_name is None:
            return False
        # What has gone from one package and is open in another is not fixed.
        open_now = {each.name for name in (*_NEWS, "spread") for each in getattr(net.by_name, name)}
        is_any = False
        for name, news in lists.items():
            by_vulnerability: dict[str, list[ChangedFinding]] = {}
            for each in getattr(net.by_name, name):
                if news is not News.FIXED or each.name not in open_now:
                    by_vulnerability.setdefault(each.name, []).append(each)
            for vulnerability, findings in by_vulnerability.items():
                is_any = True
                key = news, vulnerability
                if key not in into:
                    into[key] = _Spread(findings[0])
                into[key].add(findings, image)
        return is_any

    def _add_still_open(self, still_open: Sequence[ChangedFinding], image: DigestedImage) -> None:
        """Add the open findings of an image that is unchanged, those of its worst severity."""
        is_open = [each for each in still_open if threshold_of(each.severity) in image.severities]
        worst = min((severity_rank(each.severity) for each in is_open), default=None)
        by_vulnerability: dict[tuple[str, str], list[ChangedFinding]] = {}
        for each in is_open:
            if severity_rank(each.severity) == worst:
                by_vulnerability.setdefault((each.severity, each.name), []).append(each)
        for key, findings in by_vulnerability.items():
            if key not in self._still_open:
                self._still_open[key] = _StillOpen(findings[0], _Spread(findings[0]))
            self._still_open[key].add(findings, image)

    def _with_successor(self, image: DigestedImage) -> DigestedImage:
        _, newest = self._newest[_name(image)]
        return image if newest == image.image_digest else replace(image, replaced_by=newest)


def contents_of(
    entries: tuple[DigestEntry, ...], changes: Iterable[DigestChange], policy: DigestPolicy
) -> Contents:
    """Read what a digest contains.

    entries: as version 0.3.0 has written them, older than any change of the same image.
    changes: those of an image one after the other, the oldest first.
    """
    contents = Contents(policy, entries)
    older = {_image(entry): _as_change(entry, policy.notify_on) for entry in entries}
    for image, group in groupby(changes, _image):
        of_image = list(group)
        contents.keys.extend(map(sort_key, of_image))
        first = older.pop(image, None)
        contents.add([*([first] if first else []), *of_image])
    for entry in older.values():
        contents.add([entry])
    return contents


def _image(entry: DigestEntry | DigestChange) -> tuple[str, str]:
    return entry.image.repository, entry.image.image_digest


def _name(image: DigestImage | DigestedImage) -> _Name:
    return image.account, image.region, image.image


def _as_change(entry: DigestEntry, notify_on: frozenset[NotifyOn]) -> DigestChange:
    """Read an entry of version 0.3.0 as one change, compared by number."""
    image_state = entry.image.image_state
    kind = compare(Seen(entry.before), Seen(image_state)).change
    is_single = entry.first_event == entry.image.event_id
    is_reminder = entry.image.is_reminder and image_state.is_alarm
    is_in_notify_on = NotifyOn(kind) in notify_on and (
        image_state.is_alarm or kind is not Change.UNCHANGED
    )
    return DigestChange(
        image=entry.image,
        before=entry.before,
        noted_at=entry.image.scanned_at,
        change=kind,
        notify=is_single or is_reminder or is_in_notify_on,
    )


def _digested(net: NetChange) -> DigestedImage:
    image, now, kind = net.image, net.image.image_state, net.change
    exceeded = () if kind is Change.FAILED else now.exceeded
    by_name = net.by_name
    return DigestedImage(
        image=image.image,
        account=image.account,
        region=image.region,
        repository=image.repository,
        image_digest=image.image_digest,
        link=image.link,
        scanned_at=image.scanned_at,
        change=kind,
        severities={name: now.counts.get(name, 0) for name in exceeded},
        difference={} if kind in (Change.NEW, Change.FAILED) else difference(net.before, now),
        is_by_name=not net.is_by_number and by_name is not None and not by_name.is_empty,
        is_reminder=net.is_reminder and kind is Change.UNCHANGED,
        is_first_sight=net.is_first_sight,
        is_end_of_failure=net.is_end_of_failure,
        is_accepted=kind is Change.CLEARED
        and by_name is not None
        and bool(by_name.accepted)
        and not by_name.gone,
    )


def _group(
    images: tuple[DigestedImage, ...], vulnerabilities: Sequence[DigestedVulnerability]
) -> DigestedGroup | None:
    if not images:
        return None
    counted = Counter(name for image in images for name in image.severities)
    return DigestedGroup(
        count=len(images),
        repositories=len({image.repository for image in images}),
        severities={name: counted[name] for name in _RANKS if counted[name]},
        failed=sum(not image.severities for image in images),
        images=images,
        vulnerabilities=tuple(vulnerabilities),
    )


def _worst_first(spreads: _Spreads) -> tuple[DigestedVulnerability, ...]:
    vulnerabilities = [spread.digested(news) for (news, _), spread in spreads.items()]
    return tuple(
        sorted(vulnerabilities, key=lambda it: (severity_rank(it.severity), -it.images, it.name))
    )


def _age(finding: ChangedFinding) -> tuple[str, bool]:
    """Return what sorts findings by age; one that may be older than its day is the first."""
    return finding.first_seen, not finding.is_seen_later


def _parameter(severity: str) -> str:
    """Return the name of the parameter that is the threshold of a severity."""
    return f"{severity.capitalize() if severity in SEVERITIES[:4] else 'Other'}Threshold"


_RANKS = (*SEVERITIES, OTHER)
_PARAMETERS = [f"{name.capitalize()}Threshold" for name in (*SEVERITIES[:4], "Other")]


def _rank(image: DigestedImage) -> tuple[list[int], int, str]:
    """Return what sorts images: by the findings of all severities, the change, and the name."""
    counts = [-image.severities.get(name, 0) for name in _RANKS]
    return counts, _ORDER.index(image.change), image.image
