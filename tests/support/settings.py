"""Settings of a function, from the environment that a test has set."""

from runtime.settings import Settings, loaded


def settings_now[S: Settings](kind: type[S]) -> S:
    """Read settings from the environment as it is now, not as it was at the last call."""
    loaded.cache_clear()
    return kind.load()
