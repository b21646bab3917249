"""The one logger: JSON lines, one INFO line per invocation, at DEBUG also one per image."""

import logging

from aws_lambda_powertools import Logger

# Lambda gives the root logger the level of the functions. With it these would log a line about
# credentials at INFO, and at DEBUG about thirty lines per call, headers and signature among them.
for library in ("boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.WARNING)

logger = Logger()
