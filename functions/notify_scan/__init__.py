"""NotifyScan: reports what scans found, and how runs ended, to the configured channels."""
