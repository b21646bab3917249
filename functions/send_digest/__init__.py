"""SendDigest: reports many changes in one message per channel, once per day."""
