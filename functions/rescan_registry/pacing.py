"""How fast ECR is called: the decisions, without a clock, threads or a table."""

from enum import StrEnum


class Operation(StrEnum):
    """ECR operations whose rate is learnt."""

    START_IMAGE_SCAN = "StartImageScan"
    DESCRIBE_IMAGE_SCAN_FINDINGS = "DescribeImageScanFindings"
