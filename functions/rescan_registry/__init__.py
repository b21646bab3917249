"""RescanRegistry: which images are due for a scan, and start them."""
