"""What reaches the log besides the functions' own lines."""

import logging

import pytest

from runtime.log import logger


@pytest.mark.parametrize("library", ["boto3", "botocore.auth", "urllib3.connectionpool"])
def test_keeps_libraries_quiet_at_debug(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)  # as Lambda sets it
    assert logger.name

    assert not logging.getLogger(library).isEnabledFor(logging.INFO)
    assert logging.getLogger(library).isEnabledFor(logging.WARNING)
