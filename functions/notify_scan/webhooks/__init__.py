"""Webhooks: their secrets, the request, and the call."""
