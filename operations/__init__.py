"""Commands of operators: build packages, and tend a deployed stack with their own credentials."""
