"""`make prove`, rehearsed with the local engine instead of AWS."""

import itertools

import boto3

from local.cloud.engine import Engine
from operations.prove import REHEARSAL, judge_definition, judge_state, machines
from operations.state_cases import cases_of

# One case per state and status, because the engine takes a second or less for each.
MACHINES = machines(partition="aws", region="eu-central-1")
CASES = [
    next(cases)
    for machine in MACHINES
    for _, cases in itertools.groupby(
        sorted(
            cases_of(machine.name, machine.definition),
            key=lambda case: (case.state, case.expected.status),
        ),
        key=lambda case: (case.state, case.expected.status, case.expected.next_state),
    )
]


def test_the_local_engine_agrees_with_every_definition(engine: Engine) -> None:
    engine.client("s3").create_bucket(
        Bucket="runbucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    session: boto3.Session = engine.session()
    states = session.client("stepfunctions", endpoint_url=engine.url, config=REHEARSAL)

    verdicts = [judge_definition(machine, states) for machine in MACHINES]
    verdicts += [judge_state(case, states) for case in CASES]

    assert len(verdicts) > 100
    assert [each for each in verdicts if each.differences] == []
