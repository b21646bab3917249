"""Channels, one module each: a message in, what the channel takes out."""
