"""All that a run leaves behind: records in the table, documents in the bucket."""
