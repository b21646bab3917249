"""SendDigest: reports many changes in one message per day."""
