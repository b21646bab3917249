"""A state machine definition for the local cloud means what it means to CloudFormation."""

import json
from pathlib import Path
from typing import Any

from local.cloud import definitions

DEFINITION = """
TimeoutSeconds: 300
StartAt: ForEach
States:
  ForEach:
    Type: Map # the reason
    MaxConcurrency: ${Most}
    ItemProcessor:
      ProcessorConfig: {ExecutionType: "${ChildType}"}
      States: {Do: {Type: Task, Resource: "${DoFunctionArn}", TimeoutSeconds: 30}}
"""


def rendered(directory: Path, parameters: dict[str, str]) -> dict[str, Any]:
    (directory / "machine.asl.yaml").write_text(DEFINITION)
    properties: dict[str, Any] = {
        "DefinitionUri": "machine.asl.yaml",
        "DefinitionSubstitutions": {
            "Most": {"Ref": "Most"},
            "ChildType": "STANDARD",
            "DoFunctionArn": {"Fn::GetAtt": ["DoFunction", "Arn"]},
        },
    }
    template = {
        "Parameters": {"Most": {"Default": 10}},
        "Resources": {
            "Machine": {"Type": "AWS::Serverless::StateMachine", "Properties": properties},
            "Queue": {"Type": "AWS::SQS::Queue"},
        },
    }

    definitions.render(template, parameters, directory, directory)

    definition: dict[str, Any] = json.loads(Path(properties["DefinitionUri"]).read_text())
    return definition


def test_makes_numbers_of_number_parameters(tmp_path: Path) -> None:
    state = rendered(tmp_path, {})["States"]["ForEach"]

    assert state["MaxConcurrency"] == 10


def test_prefers_a_given_parameter_to_its_default(tmp_path: Path) -> None:
    state = rendered(tmp_path, {"Most": "3"})["States"]["ForEach"]

    assert state["MaxConcurrency"] == 3


def test_leaves_to_the_deployment_what_only_it_knows(tmp_path: Path) -> None:
    processor = rendered(tmp_path, {})["States"]["ForEach"]["ItemProcessor"]

    assert processor["States"]["Do"]["Resource"] == "${DoFunctionArn}"
    assert processor["ProcessorConfig"]["ExecutionType"] == "${ChildType}"


def test_extends_the_timeouts_of_tasks_only(tmp_path: Path) -> None:
    machine = rendered(tmp_path, {})
    processor = machine["States"]["ForEach"]["ItemProcessor"]

    assert processor["States"]["Do"]["TimeoutSeconds"] == 120
    assert machine["TimeoutSeconds"] == 300
