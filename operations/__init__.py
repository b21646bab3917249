"""Commands that operators run against a deployed stack, with their own credentials."""
