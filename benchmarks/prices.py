"""List prices in us-east-1, in USD, without free tiers; from AWS's price pages."""

TRANSITION = 25e-6  # Step Functions, STANDARD
INVOCATION = 0.2e-6 + 0.22e-6  # Lambda's request, and 440 B of log
LAMBDA_SECOND = 0.25 * 13.3334e-6  # 256 MB, arm64
WRITE_UNIT = 0.625e-6  # DynamoDB, on demand
READ_UNIT = 0.125e-6
PUT = 5e-6  # S3
SCAN_NOTE = 2 * WRITE_UNIT  # a record of an image is larger than 1 KB
PAGE_OF_RECORDS = 138 * READ_UNIT  # 1 MB
