"""Events that start NotifyScan, read into reports."""
