"""Vulnerabilities that an operator has accepted until a date, and the document that lists them."""
