"""Links to pages of the AWS console.

Each partition has a console of its own, and no API returns its host. AWS publishes none for the
isolated partitions: links there lead to the commercial console, and do not work.
"""

from urllib.parse import quote

_HOST = "console.aws.amazon.com"
_OTHER_HOSTS = {  # by the start of the names of a partition's Regions
    "cn-": "console.amazonaws.cn",
    "us-gov-": "console.amazonaws-us-gov.com",
    # https://docs.aws.eu/general/latest/gr/endpoints.html
    "eusc-": "console.amazonaws-eusc.eu",
}
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


def state_machine_page(region: str, state_machine_arn: str) -> str:
    """Return the page of a state machine."""
    page = f"{_host(region)}/states/home?region={_part(region)}"
    return f"{page}#/statemachines/view/{quote(state_machine_arn, safe=':')}"


def object_page(region: str, bucket: str, key: str) -> str:
    """Return the page of an object in S3."""
    page = f"{_host(region)}/s3/object/{_part(bucket)}"
    return f"{page}?region={_part(region)}&prefix={_part(key)}"


def _host(region: str) -> str:
    other = (host for start, host in _OTHER_HOSTS.items() if region.startswith(start))
    return f"https://{next(other, _HOST)}"


def _part(text: str) -> str:
    return quote(text, safe="")
