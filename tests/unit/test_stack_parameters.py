"""The template parameters of a registry file are those that the template has and allows."""

import pytest

from local.cloud import stack_parameters
from local.registry import registry_file
from local.registry.checked_yaml import RegistryFileError

REST = "\nrepositories: []\n"


def read(text: str) -> dict[str, str]:
    return stack_parameters.of_registry_file(text, name="mine.yaml")


def test_gives_what_the_file_asks_for_as_text() -> None:
    text = (
        "parameters: {RescanAfter: 36h, MaxConcurrency: 4, ImageSelection: TAGGED, "
        "ExcludeTagPattern: '^tmp'}" + REST
    )

    assert read(text) == {
        "RescanAfter": "36h",
        "MaxConcurrency": "4",
        "ImageSelection": "TAGGED",
        "ExcludeTagPattern": "^tmp",
    }


def test_takes_an_empty_text_for_what_is_turned_off() -> None:
    parameters = read(f'parameters: {{SlackWebhookSecretArn: ""}}{REST}')

    assert parameters == {"SlackWebhookSecretArn": ""}


def test_leaves_the_template_its_defaults() -> None:
    assert read(REST) == {}


def test_does_not_disturb_the_registry() -> None:
    assert registry_file.parse("parameters: {RescanAfter: 36h}" + REST).repositories == {}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("RescanAftr: 7d", "`RescanAftr` is not a key of the template's parameters. Did you mean"),
        ("RescanAfter: soon", "`RescanAfter` is 'soon', but must be a duration such as 7d"),
        ("MaxConcurrency: 0", "`MaxConcurrency` is '0', but must be a whole number from 1 to 1000"),
        ("SlackWebhookSecretArn:", "`SlackWebhookSecretArn` must be a text"),
        ('RescanAfter: ""', "`RescanAfter` is '', but must be a duration such as 7d"),
        ("ImageSelection: SOME", "must be one of ANY, TAGGED, UNTAGGED"),
    ],
)
def test_names_the_line_of_what_the_template_does_not_take(parameters: str, said: str) -> None:
    with pytest.raises(RegistryFileError) as refused:
        read(f"scanning: BASIC\nparameters:\n  {parameters}{REST}")

    assert str(refused.value).startswith("mine.yaml, line 3: ")
    assert said in str(refused.value)


def test_lists_the_known_parameters() -> None:
    with pytest.raises(RegistryFileError, match=r"Known keys: .*RescanAfter.*MaxConcurrency"):
        read(f"parameters: {{Nope: 1}}{REST}")
