"""The template as SAM expands it, which is what CloudFormation gets.

It runs in the environment of SAM, which has the translator.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
# The policies of AWS that SAM gives to roles, in the partition of the Region.
_POLICY_OF_AWS = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/(.+)")

type Place = Callable[[str], Any]


def expanded(region: str, place: Place, *, template: Path = TEMPLATE) -> dict[str, Any]:
    """Expand the template for a Region.

    place: where a file is in S3 that the template names by its path.
    """
    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # warns of metrics that it keeps
    document = yaml_parse(template.read_text())
    common = document["Globals"]["Function"]
    common["CodeUri"] = place(common["CodeUri"])
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            properties = resource["Properties"]
            properties["DefinitionUri"] = place(properties["DefinitionUri"])
    session = boto3.Session(region_name=region)
    translator = Translator(managed_policy_map={}, sam_parser=Parser(), boto_session=session)
    found: dict[str, Any] = translator.translate(sam_template=document, parameter_values={})
    return found


def for_every_partition(value: Any) -> Any:
    """Let a part of a template name policies of AWS in the partition where it is deployed."""
    if isinstance(value, dict):
        return {name: for_every_partition(each) for name, each in value.items()}
    if isinstance(value, list):
        return [for_every_partition(each) for each in value]
    if isinstance(value, str) and (named := _POLICY_OF_AWS.fullmatch(value)):
        return {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{named[1]}"}
    return value
