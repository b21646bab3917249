"""RescanRegistry: starts a scan of every image that is due."""
