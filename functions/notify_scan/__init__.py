"""NotifyScan: what a scan found, told to people where they already look."""
