"""What the ledger answers when it does not do what it was asked."""


class LedgerUnavailable(Exception):
    """The table did not answer, or refused. It is a memory only: the work goes on without it."""


class BaselineMoved(Exception):
    """Another execution has meanwhile noted something else of the image: look again."""


class DigestAlreadyBegun(Exception):
    """Another execution has meanwhile begun to send a digest: go on with that."""
