"""SendDigest: tells many changes in one message, after a run or once a day."""
