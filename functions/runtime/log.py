"""The one logger: JSON lines, an INFO line an invocation, at DEBUG also a line an image."""

from aws_lambda_powertools import Logger

logger = Logger()
