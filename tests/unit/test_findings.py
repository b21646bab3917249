from registry.findings import worst
from tests.support.reports import any_finding


def test_picks_the_worst_by_severity_then_score_then_name() -> None:
    findings = [
        any_finding("E", "NOVEL", score=10),
        any_finding("D", "UNDEFINED"),
        any_finding("C", "HIGH", score=7),
        any_finding("B", "HIGH", score=7, package="b"),
        any_finding("B", "HIGH", score=7, package="a"),
        any_finding("A", "HIGH", score=8),
        any_finding("F", "CRITICAL"),
    ]
    assert [f"{each.name}{each.package}" for each in worst(findings, 99)] == [
        "F",
        "A",
        "Ba",
        "Bb",
        "C",
        "D",
        "E",
    ]
    assert len(worst(findings, 2)) == 2
    assert worst([], 2) == ()
