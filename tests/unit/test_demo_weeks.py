"""How the demo lets weeks pass: what is set back, as the code of the functions reads it."""

from datetime import date

from ledger.known_findings import GoneFinding, KnownFinding, KnownFindings, decoded, encoded
from local.demo.weeks import PASSING, aged_findings

DAY = date(2026, 3, 14)


def known(day: date) -> KnownFindings:
    key = ("CVE-2026-1", "openssl 3.0")
    return KnownFindings(
        revision=0,
        scan_type="",
        since=day,
        findings={key: KnownFinding("CRITICAL", day, revision=3, origin="sha256:0b")},
        gone={("CVE-2026-2", "zlib 1.2"): GoneFinding("UNHEARD_OF", day, day)},
    )


def test_findings_are_set_back_and_nothing_else_of_them() -> None:
    assert decoded(aged_findings(encoded(known(DAY)))) == known(DAY - PASSING)
