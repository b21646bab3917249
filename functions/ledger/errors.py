"""What the ledger raises; the class names are the error names that state machines match on."""


class LedgerUnavailable(Exception):
    """The table or the run bucket did not answer, or refused the call."""


class BaselineMoved(Exception):
    """Another execution has recorded a baseline of the same image since it was read: try again."""


class DigestAlreadyBegun(Exception):
    """Another execution has begun to send a digest since the ledger was read: resume that one."""
