"""All that ecr-rescan keeps: items in the ledger table, documents in the run bucket."""
