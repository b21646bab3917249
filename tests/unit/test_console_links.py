import importlib.resources
import json
import re

import pytest

from reporting.console_links import LONGEST, execution_page, image_page
from tests.support.cases import case
from tests.support.template import ROOT

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:rescan:run-1"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
        ("eusc-de-east-1", "https://console.amazonaws-eusc.eu"),
    ],
)
def test_leads_to_the_console_of_the_partition(region: str, host: str) -> None:
    assert image_page(region, "1", "team/api", "sha256:7") == (
        f"{host}/ecr/repositories/private/1/team/api/_/image/sha256:7/scan-results?region={region}"
    )
    assert image_page(region, "1", "team/api", None) == (
        f"{host}/ecr/repositories/private/1/team/api?region={region}"
    )
    assert execution_page(region, EXECUTION) == (
        f"{host}/states/home?region={region}#/v2/executions/details/{EXECUTION}"
    )


def test_case_16_leads_to_the_console_of_the_european_sovereign_cloud() -> None:
    told = case("16-eusc-partition.json")
    link = execution_page(told["region"], EXECUTION)
    assert link.startswith(f"{told['console']}/states/home?region={told['region']}#")


# The consoles that AWS publishes. botocore lists partitions and Regions; a partition that is new
# there fails the test until its console is known here.
PUBLISHED = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-eusc": "console.amazonaws-eusc.eu",
}
UNPUBLISHED = {"aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"}
PARTITIONS = {
    partition["id"]: [region for region in partition["regions"] if not region.endswith("-global")]
    for partition in json.loads(
        importlib.resources.files("botocore").joinpath("data/partitions.json").read_text()
    )["partitions"]
}


@pytest.mark.parametrize("partition", PARTITIONS)
def test_links_lead_to_a_console_in_every_partition_that_has_one(partition: str) -> None:
    """Elsewhere they lead to that of the commercial partition, which is a documented limit."""
    assert (partition in PUBLISHED) != (partition in UNPUBLISHED)
    host = PUBLISHED.get(partition, PUBLISHED["aws"])
    assert PARTITIONS[partition]
    for region in PARTITIONS[partition]:
        assert execution_page(region, EXECUTION).startswith(f"https://{host}/"), region


def test_operations_names_the_partitions_without_working_links() -> None:
    limits = (ROOT / "docs" / "operations.md").read_text().partition("\n## Limits\n")[2]
    (row,) = re.findall(r"^\| links to the AWS console \|.*", limits, re.MULTILINE)
    assert set(re.findall(r"`(aws[a-z-]*)`", row)) == UNPUBLISHED


def test_a_name_stays_in_its_place() -> None:
    page = image_page("eu?x=1#", "a/b", "../?<>|`\n", "#?<")
    assert page == (
        "https://console.aws.amazon.com/ecr/repositories/private/a%2Fb/../%3F%3C%3E%7C%60%0A"
        "/_/image/%23%3F%3C/scan-results?region=eu%3Fx%3D1%23"
    )


def test_a_name_that_no_link_can_hold_leads_to_the_page_before_it() -> None:
    party = "\N{PARTY POPPER}" * 300
    assert image_page("eu-west-1", "1", party, None) == (
        "https://console.aws.amazon.com/ecr/home?region=eu-west-1"
    )
    assert execution_page("eu-west-1", party) == (
        "https://console.aws.amazon.com/states/home?region=eu-west-1"
    )
    assert len(image_page(party[:50], party, party, party)) <= LONGEST
    assert len(execution_page(party[:50], party)) <= LONGEST
