"""`make prove`: let AWS judge the state machines, without deploying anything.

Each definition goes to ValidateStateMachineDefinition, and each Task, Map, and Choice to TestState
with mocked results and errors. What AWS answers is compared with what the definition says, and
written to a transcript. Needs the permissions states:ValidateStateMachineDefinition and
states:TestState, no role, and no resource. Nothing is called, because every Task is mocked.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from operations.state_cases import Case, Outcome, cases_of

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

ROOT = Path(__file__).parent.parent
ACCOUNT = "123456789012"  # in ARNs that nothing is called by
# AWS publishes no rate for these calls: one after the other, and slower when AWS throttles.
PATIENT = Config(retries={"mode": "adaptive", "max_attempts": 10})
# TestState has a host of its own, sync-states, which a local engine does not have.
REHEARSAL = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
# These say something about the caller or the connection, and nothing about a definition.
ABOUT_A_DEFINITION = {
    "InvalidDefinition",
    "InvalidExecutionInput",
    "InvalidArn",
    "ValidationException",
    "InternalError",
}


@dataclass(frozen=True)
class Machine:
    """A state machine of the template. kind: STANDARD or EXPRESS."""

    name: str
    kind: str
    definition: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What was asked, what was expected, and what was answered, as a line of the transcript."""

    machine: str
    state: str
    about: str
    expected: Any
    answer: Any
    differences: tuple[str, ...]


class _Template(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": "X"}, and of other functions only that they are there."""


def _function(_: yaml.SafeLoader, name: str, node: yaml.Node) -> Any:
    return {name: node.value if isinstance(node, yaml.ScalarNode) else None}


_Template.add_multi_constructor("!", _function)


def machines(*, partition: str, region: str) -> list[Machine]:
    """Read the state machines, with the defaults of parameters and ARNs of nothing that exists."""
    template = yaml.load((ROOT / "template.yaml").read_text(), _Template)  # noqa: S506 # a SafeLoader
    found = []
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            properties = resource["Properties"]
            values = {
                key: _substitute(key, value, template["Parameters"], f"{partition}:{{}}:{region}")
                for key, value in properties["DefinitionSubstitutions"].items()
            }
            text = (ROOT / properties["DefinitionUri"]).read_text()
            for key, value in values.items():
                text = text.replace(f"${{{key}}}", value)
            short = name.removesuffix("StateMachine")
            found.append(Machine(short, properties["Type"], yaml.safe_load(text)))
    return found


def _substitute(key: str, value: Any, parameters: dict[str, Any], place: str) -> str:
    if key == "Partition":
        return place.partition(":")[0]
    if isinstance(value, dict) and value.get("Ref") in parameters:
        return str(parameters[value["Ref"]]["Default"])
    if key.endswith("FunctionArn"):
        return f"arn:{place.format('lambda')}:{ACCOUNT}:function:{key.removesuffix('Arn')}"
    if key.endswith("Arn"):
        return f"arn:{place.format('states')}:{ACCOUNT}:stateMachine:{key.removesuffix('Arn')}"
    if key.endswith("Url"):
        return f"https://sqs.{place.rpartition(':')[2]}.amazonaws.com/{ACCOUNT}/{key}"
    return key.lower()


def prove(machines: Sequence[Machine], states: "SFNClient") -> Iterator[Verdict]:
    """Ask about each definition, and then about each of its states.

    Raises ClientError when AWS refuses the caller, and not the definition.
    """
    for machine in machines:
        yield judge_definition(machine, states)
        for case in cases_of(machine.name, machine.definition):
            yield judge_state(case, states)


def judge_definition(machine: Machine, states: "SFNClient") -> Verdict:
    """Ask whether a state machine could be created with this definition."""
    kind: Any = machine.kind
    answer = states.validate_state_machine_definition(
        definition=json.dumps(machine.definition), type=kind, severity="WARNING"
    )
    result, diagnostics = answer["result"], answer["diagnostics"]
    different = () if result == "OK" else (f"result is {result}",)
    answered = {"result": result, "diagnostics": diagnostics}
    return Verdict(machine.name, "", f"definition, {kind}", {"result": "OK"}, answered, different)


def judge_state(case: Case, states: "SFNClient") -> Verdict:
    """Ask what a state does, and compare."""
    request: Any = case.request
    try:
        answer: Any = states.test_state(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABOUT_A_DEFINITION:
            raise
        answered: Any = {"refused": str(error)}
        different: tuple[str, ...] = ("the test was refused",)
    else:
        answer.pop("ResponseMetadata", None)
        answered = answer
        different = tuple(differences(case.expected, answer))
    return Verdict(case.machine, case.state, case.about, asdict(case.expected), answered, different)


def differences(expected: Outcome, answer: dict[str, Any]) -> Iterator[str]:
    """Compare an answer of TestState with what is expected, as far as both say something."""
    status = answer.get("status")
    if status != expected.status:
        yield f"status is {status}"
        return
    if status in {"SUCCEEDED", "CAUGHT_ERROR"} and answer.get("nextState") != expected.next_state:
        yield f"next state is {answer.get('nextState')}"
    if status == "FAILED" and answer.get("error") != expected.error:
        yield f"error is {answer.get('error')}"
    if expected.output is not None and json.loads(answer.get("output", "null")) != expected.output:
        yield f"output is {answer.get('output')}"
    details = answer.get("inspectionData", {}).get("errorDetails", {})
    field = "retryIndex" if status == "RETRIABLE" else "catchIndex"
    if field in details and details[field] != expected.index:
        yield f"{field} is {details[field]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove, write the transcript, and return 0, 1 for a difference, or 2 if AWS did not judge."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--region", help="Region to ask in (default: that of the profile)")
    parser.add_argument("--endpoint-url", help="engine to rehearse with, instead of AWS")
    parser.add_argument("--transcript", type=Path, help="file to write (default: in .prove/)")
    options = parser.parse_args(arguments)
    began = datetime.now(UTC)
    path = options.transcript or Path(".prove", f"{began:%Y-%m-%dT%H-%M-%SZ}.jsonl")
    verdicts: list[Verdict] = []
    try:
        session = boto3.Session(region_name=options.region)
        config = REHEARSAL if options.endpoint_url else PATIENT
        states = session.client("stepfunctions", config=config, endpoint_url=options.endpoint_url)
        region = states.meta.region_name
        partition = session.get_partition_for_region(region)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as transcript:
            head = {"began": began.isoformat(), "endpoint": states.meta.endpoint_url}
            transcript.write(json.dumps(head) + "\n")
            for verdict in prove(machines(partition=partition, region=region), states):
                verdicts.append(verdict)
                transcript.write(json.dumps(asdict(verdict), default=str) + "\n")
    except (BotoCoreError, ClientError) as error:
        print(f"Not judged, after {len(verdicts)} answers: {error}")  # noqa: T201
        return 2
    different = [verdict for verdict in verdicts if verdict.differences]
    for each in different:
        print(f"{each.machine} {each.state}, {each.about}: {'; '.join(each.differences)}")  # noqa: T201
    print(  # noqa: T201
        f"{len(verdicts)} answers of {states.meta.endpoint_url}; "
        f"{len(different)} differ from the definitions. Transcript: {path}"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
