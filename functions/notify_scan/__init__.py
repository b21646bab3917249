"""NotifyScan: reports findings and runs in the channels that a team already uses."""
