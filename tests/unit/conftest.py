"""What the functions under test find in their environment, whatever a test is about."""

import pytest


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a table and a bucket, which unit tests replace by fakes."""
    monkeypatch.setenv("LEDGER_TABLE", "ledger-table")
    monkeypatch.setenv("RUN_BUCKET", "run-bucket")
