"""The one logger: JSON lines, an INFO line an invocation, at DEBUG also a line an image."""

import logging

from aws_lambda_powertools import Logger

# Lambda gives the root logger the level of the functions. With it these would log a line about
# credentials at INFO, and at DEBUG some thirty lines a call, headers and signature among them.
for library in ("boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.WARNING)

logger = Logger()
