"""Links to pages of the AWS console."""

from urllib.parse import quote

LONGEST = 1_000  # characters; a longer link breaks some channel's limit, and no real name makes one


def image_page(region: str, account: str, repository: str, image_digest: str | None) -> str:
    """Return the page of an image's scan, or of its repository if the image digest is not known."""
    page = f"{_host(region)}/ecr/repositories/private/{_part(account)}/{quote(repository)}"
    if image_digest:
        page += f"/_/image/{quote(image_digest, safe=':')}/scan-results"
    link = f"{page}?region={_part(region)}"
    return link if len(link) <= LONGEST else f"{_host(region)}/ecr/home?region={_part(region)}"


def execution_page(region: str, execution_arn: str) -> str:
    """Return the page of an execution, or of all executions if its ARN is too long to be real."""
    page = f"{_host(region)}/states/home?region={_part(region)}"
    link = f"{page}#/v2/executions/details/{quote(execution_arn, safe=':')}"
    return link if len(link) <= LONGEST else page


def object_page(region: str, bucket: str, key: str) -> str:
    """Return the page of an object in S3."""
    page = f"{_host(region)}/s3/object/{_part(bucket)}"
    return f"{page}?region={_part(region)}&prefix={_part(key)}"


def _host(region: str) -> str:
    if region.startswith("cn-"):
        return "https://console.amazonaws.cn"
    if region.startswith("us-gov-"):
        return "https://console.amazonaws-us-gov.com"
    return "https://console.aws.amazon.com"


def _part(text: str) -> str:
    return quote(text, safe="")
