"""Uninstalling, with the commands of docs/operations.md."""

import json
import os
import re
import subprocess
from pathlib import Path

from local.cloud.engine import Engine
from local.cloud.interpreters import local_cloud_python
from tests.support.template import ROOT, template

STACK = "ecr-rescan-to-uninstall"  # the stack of the documents belongs to the other tests
KEPT = ("LedgerTable", "RunBucket", "AccessLogBucket")
OUTPUTS = tuple(f"{name}Name" for name in KEPT)
VERSIONS = 1_003  # more than one page


def run(engine: Engine, commands: str, directory: Path) -> None:
    """Run commands with the AWS CLI of the local cloud, until one fails."""
    path = f"{local_cloud_python().parent}{os.pathsep}{os.environ['PATH']}"
    completed = subprocess.run(
        ["bash", "-ec", commands.replace("--stack-name ecr-rescan", f"--stack-name {STACK}")],
        cwd=directory,
        env={**os.environ, **engine.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr


def test_the_documented_commands_delete_what_a_stack_leaves_with_all_versions(
    engine: Engine, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "operations.md").read_text().partition("\n## Uninstall\n")[2]
    delete_stack, delete_data = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    parts = template()
    document = {
        "Parameters": {"RunRetentionDays": parts["Parameters"]["RunRetentionDays"]},
        "Resources": {name: parts["Resources"][name] for name in (*KEPT, "AccessLogBucketPolicy")},
        "Outputs": {name: parts["Outputs"][name] for name in OUTPUTS},
    }
    cloudformation, s3 = engine.client("cloudformation"), engine.client("s3")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(document))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK)
    (described,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    names = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    table, *buckets = (names[name] for name in OUTPUTS)
    for _ in range(VERSIONS):
        s3.put_object(Bucket=buckets[0], Key="accepted-risks.yaml", Body=b"accepted_risks:")
    s3.delete_object(Bucket=buckets[0], Key="accepted-risks.yaml")
    s3.put_object(Bucket=buckets[1], Key="2026-11-06-00-00-38-A", Body=b"any")

    # localemu knows no RetainExceptOnCreate, and would delete the table with the stack.
    read_names = delete_stack.partition("aws cloudformation delete-stack")[0]
    run(engine, read_names + delete_data, tmp_path)

    tables = engine.client("dynamodb").list_tables()["TableNames"]
    left = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert not {table, *buckets} & {*tables, *left}
