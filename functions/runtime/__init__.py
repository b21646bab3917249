"""Everything that knows Lambda: entry points, settings, the clock, messages between states."""
