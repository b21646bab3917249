"""template.yaml: parameters, environment and code agree; everything is watched and encrypted."""

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_scan.settings import ComposeNotificationSettings
from reporting.channels.delivery import Channel
from reporting.reports import Change
from rescan_registry.request import RescanRequest
from rescan_registry.settings import ListRepositoriesSettings, StartImageScansSettings
from runtime import durations
from runtime.settings import parameter
from tests.support.builders import DEFAULT_SETTINGS, any_policy
from tests.support.clock import NOW
from tests.support.definition import (
    NOTIFY_SCAN,
    SEND_DIGEST,
    Function,
    functions,
)
from tests.support.settings import settings_now
from tests.support.template import ROOT, resolved, resources, template

FUNCTIONS = resources("AWS::Serverless::Function")
PARAMETERS: dict[str, dict[str, Any]] = template()["Parameters"]
DURATIONS = ("RescanAfter", "UnsupportedRetryAfter", "PulledWithin")


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def references(value: object) -> set[str]:
    """Find the names that a piece of the template refers to."""
    text = repr(value)
    return set(re.findall(r"'Ref': '(\w+)'", text)) | set(re.findall(r"\$\{(\w+)\}", text))


def test_every_parameter_is_described_and_used() -> None:
    body = {key: value for key, value in template().items() if key != "Parameters"}
    used = references(body)
    for name, declared in PARAMETERS.items():
        assert name in used, name
        assert declared["Description"].endswith("."), name
        assert "Default" in declared, f"{name} must not be asked for on a first deploy"


def test_the_console_groups_every_parameter_once() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)


OF_LAMBDA = {"aws_region"}  # is in every function's environment


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)
def test_a_function_is_given_the_settings_that_it_reads_and_no_other(function: Function) -> None:
    settings = settings_of(function)
    assert f"{settings.__name__}.load()" in function.path.read_text()
    given_settings = FUNCTIONS[function.logical_id]["Environment"]["Variables"]
    read = {field.name for field in dataclasses.fields(settings)} - OF_LAMBDA
    assert {name.upper() for name in read} == given_settings.keys()


def settings_of(function: Function) -> Any:
    """Find the dataclass that a function reads its environment into."""
    module = importlib.import_module(f"{function.package}.settings")
    return getattr(module, f"{function.name}Settings")


def test_every_function_is_given_what_powertools_reads() -> None:
    given_settings = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert given_settings.keys() == {
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "POWERTOOLS_LOG_LEVEL",
    }


def test_every_field_of_settings_is_used() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    for function in functions():
        for field in dataclasses.fields(settings_of(function)):
            assert re.search(rf"\.{field.name}\b", text), field.name


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_a_setting_is_named_for_its_parameter(function: dict[str, Any]) -> None:
    for name, value in function.get("Environment", {}).get("Variables", {}).items():
        named = value["Fn::If"][1] if "Fn::If" in value else value
        assert snake(named["Ref"].removeprefix("AWS::")) == name
        assert parameter(name.lower()) == named["Ref"].removeprefix("AWS::")


def test_the_defaults_make_the_policy_that_they_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = FUNCTIONS["ListRepositoriesFunction"]["Environment"]["Variables"]
    environment = resolved(variables)
    assert {name: environment[name] for name in DEFAULT_SETTINGS} == DEFAULT_SETTINGS
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = settings_now(ListRepositoriesSettings)
    assert settings.policy(RescanRequest(), NOW) == any_policy()


@given(
    st.from_regex(r"P?([0-9]{0,3}[mwdhMWDHT]){0,4}", fullmatch=True)
    | st.text("PTMWDHmwdh0123456789", max_size=8)
)
def test_the_template_accepts_the_durations_that_the_code_accepts(text: str) -> None:
    try:
        durations.parse(text)
    except ValueError as error:
        accepted = "longer than zero" in str(error)  # the pattern knows form, not size
    else:
        accepted = True
    for name in DURATIONS:
        pattern = PARAMETERS[name]["AllowedPattern"]
        if text or name != "PulledWithin":
            assert bool(re.fullmatch(pattern, text)) == accepted, (name, text)


def test_number_parameters_keep_within_what_the_code_accepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = FUNCTIONS["ListRepositoriesFunction"]["Environment"]["Variables"]
    for name, value in resolved(variables).items():
        monkeypatch.setenv(name, value)
    for name in ("MaxScansPerRepository", "MaxImagesPerRepository"):
        for limit in ("MinValue", "MaxValue"):
            monkeypatch.setenv(snake(name), str(PARAMETERS[name][limit]))
            settings_now(ListRepositoriesSettings)


def test_images_are_remembered_as_long_as_the_code_accepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = PARAMETERS["ImageRecordRetentionDays"]
    monkeypatch.setenv("LEDGER_TABLE", "any")
    monkeypatch.setenv("RUN_BUCKET", "any")
    for limit in ("MinValue", "MaxValue"):
        monkeypatch.setenv("IMAGE_RECORD_RETENTION_DAYS", str(declared[limit]))
        settings = settings_now(StartImageScansSettings)
        assert settings.image_record_retention_days == declared[limit]


def test_the_schedule_survives_a_second_stack_and_a_lost_call() -> None:
    machine = resources("AWS::Serverless::StateMachine")["RescanRegistryStateMachine"]
    schedule = machine["Events"]["Schedule"]
    properties = schedule["Properties"]
    assert schedule["Type"] == "ScheduleV2"
    assert properties["OmitName"] is True
    assert properties["Input"] == "{}"
    assert properties["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert properties["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["Undelivered", "Arn"]}


def test_a_rule_loses_no_event() -> None:
    assert len(NOTIFY_SCAN.rules) == 6
    for rule in NOTIFY_SCAN.rules.values():
        (target,) = rule["Targets"]
        assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
        assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["Undelivered", "Arn"]}


def test_deletions_start_an_execution_only_where_there_are_incidents() -> None:
    states = {name: rule.get("State") for name, rule in NOTIFY_SCAN.rules.items()}
    state = states.pop("ImageDeleted")
    assert resolved(state, {"PagerDutySecretArn": "any"}) == "ENABLED"
    assert resolved(state, {"PagerDutySecretArn": ""}) == "DISABLED"
    assert set(states.values()) == {None}


def test_send_digest_is_started_every_day_also_without_digests() -> None:
    (event,) = SEND_DIGEST.properties["Events"].values()
    properties = event["Properties"]
    assert properties["Input"] == "{}"
    assert properties["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert properties["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["Undelivered", "Arn"]}
    assert properties["OmitName"] is True
    assert properties["State"] == "ENABLED"


def test_a_digest_knows_the_channels_that_a_notification_knows() -> None:
    told, digest = (
        FUNCTIONS[f"{name}Function"]["Environment"]["Variables"]
        for name in ("ComposeNotification", "ComposeDigest")
    )
    assert digest.items() <= told.items()
    assert {
        name for name in told if name.endswith(("_CHANNELS", "_ARN", "_TOPIC"))
    } <= digest.keys()


def test_thresholds_and_switches_are_what_the_code_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = FUNCTIONS["ComposeNotificationFunction"]["Environment"]["Variables"]
    for name, value in resolved(variables).items():
        monkeypatch.setenv(name, str(value))
    policy = settings_now(ComposeNotificationSettings).policy
    assert policy.thresholds.accepted == {
        **dict.fromkeys(("CRITICAL", "HIGH", "MEDIUM", "LOW"), 0),
        **dict.fromkeys(("INFORMATIONAL", "UNDEFINED", "OTHER")),
    }
    assert policy.notify_on == {Change.NEW, Change.WORSE, Change.CLEARED, Change.FAILED}
    assert policy.include_findings


def test_a_metric_has_no_dimension_of_ours_but_the_channel() -> None:
    """Powertools adds the service; a repository or digest there would be a bill, and a leak."""
    texts = [path.read_text() for path in (ROOT / "functions").rglob("*.py")]
    adding = [text for text in texts if "add_dimension" in text or "single_metric" in text]
    (text,) = adding
    assert re.findall(r"add_dimension\((.*)\)", text) == ['"channel", channel.value']
    assert len(Channel) == 7  # each is a metric to be paid


def test_metrics_are_written_at_every_log_level() -> None:
    """Lambda takes a log line that names no level for INFO, and a metric is one.

    Its level goes before that of Powertools, which warns where Lambda would drop what it writes.
    """
    counting = [
        function
        for function in FUNCTIONS.values()
        if re.search(
            r"Metrics\(\)|counted_calls\(|count_messages\(",
            ROOT.joinpath("functions", *module_of(function)).read_text(),
        )
    ]
    assert len(counting) == 5
    for function in counting:
        for level in PARAMETERS["LogLevel"]["AllowedValues"]:
            of_lambda = resolved(function["LoggingConfig"], {"LogLevel": level})
            assert of_lambda == {"ApplicationLogLevel": "DEBUG" if level == "DEBUG" else "INFO"}


def module_of(function: dict[str, Any]) -> tuple[str, str]:
    package, module, _ = function["Handler"].split(".")
    return package, f"{module}.py"


@pytest.mark.parametrize(
    ("boundary", "is_accepted"),
    [
        ("", True),
        ("arn:aws:iam::123456789012:policy/team/boundary", True),
        ("arn:aws:iam::aws:policy/PowerUserAccess", True),
        ("arn:aws-cn:iam::aws:policy/PowerUserAccess", True),
        ("arn:aws:iam::123456789012:role/boundary", False),
        ("arn:aws:iam::amazon:policy/boundary", False),
        ("PowerUserAccess", False),
    ],
)
def test_a_boundary_is_a_managed_policy_of_the_account_or_of_aws(
    boundary: str, *, is_accepted: bool
) -> None:
    pattern = PARAMETERS["PermissionsBoundaryArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, boundary)) == is_accepted


def test_the_application_can_be_published() -> None:
    application = template()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert Path(ROOT / application["LicenseUrl"]).exists()
    assert Path(ROOT / application["ReadmeUrl"]).exists()
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", application["Name"])
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", application["SemanticVersion"])
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {application['SemanticVersion']}" in changelog


def test_case_16_lists_no_partitions() -> None:
    """A partition that a mapping lacks could not be deployed to."""
    assert "Mappings" not in template()
    conditions = str(template()["Conditions"])
    assert "AWS::Partition" not in conditions
    text = (ROOT / "template.yaml").read_text()
    assert "https://console" not in text
    assert re.findall(r"arn:aws:", text) == []
