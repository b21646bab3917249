from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescan_registry.request import InvalidRescanRequest, RescanRequest, read_request


@pytest.mark.parametrize("document", [{}, {"Comment": "Insert your JSON here"}])
def test_takes_the_whole_registry_when_nothing_is_asked_for(document: object) -> None:
    assert read_request(document) == RescanRequest()


def test_reads_every_key() -> None:
    assert read_request({"repositories": ["team/api", "team/web", "team/api"]}) == RescanRequest(
        repositories=("team/api", "team/web")
    )
    assert read_request(
        {"repository_filter": "prod/", "rescan_after": "36h", "dry_run": True}
    ) == RescanRequest(repository_filter="prod/", rescan_after=timedelta(hours=36), dry_run=True)
    assert read_request({"rerun_of": "run-1", "dry_run": False}) == RescanRequest(rerun_of="run-1")


@pytest.mark.parametrize(
    "key", ["repositories", "repository_filter", "rescan_after", "rerun_of", "dry_run"]
)
def test_takes_null_for_absent(key: str) -> None:
    assert read_request({key: None}) == RescanRequest()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "must be a JSON object with any of repositories, repository_filter"),
        ("team/api", "must be a JSON object"),
        (None, "must be a JSON object"),
        (
            {"repos": []},
            "Unknown key 'repos' in the .* Valid keys: repositories, repository_filter",
        ),
        ({"comment": "small"}, "Unknown key 'comment' in the execution input"),
        ({"repositories": []}, "a list of one or more repository names"),
        ({"repositories": "team/api"}, "not 'team/api'"),
        ({"repositories": ["Team/API"]}, "'Team/API' is not one"),
        ({"repositories": ["a"]}, "'a' is not one"),
        ({"repositories": ["a" * 257]}, r"'a{76}\.\.\. is not one"),
        ({"repositories": ["team/api", 5]}, "5 is not one"),
        ({"repositories": ["team//api"]}, "'team//api' is not one"),
        ({"repository_filter": "("}, r"'\(' is not one: missing \)"),
        ({"repository_filter": "a{99999999999}"}, "repository_filter must be a regular expression"),
        ({"repository_filter": ["prod"]}, "repository_filter must be a regular expression"),
        ({"rescan_after": 7}, "rescan_after must be a duration such as 7d.*, not 7"),
        ({"rescan_after": "soon"}, "rescan_after must be a duration such as 7d.*, not 'soon'"),
        ({"rescan_after": "0d"}, "rescan_after must be longer than zero"),
        (
            {"rescan_after": "12h"},
            "at least 24h, not '12h': ECR allows one basic scan",
        ),
        ({"rescan_after": "23h"}, "at least 24h"),
        ({"rerun_of": "arn:aws:states:eu-west-1:1:execution:m:run"}, "its name, not its ARN"),
        ({"rerun_of": ""}, "rerun_of must be the name"),
        ({"rerun_of": "a" * 81}, "rerun_of must be the name"),
        ({"rerun_of": "a b"}, "rerun_of must be the name"),
        ({"rerun_of": 5}, "rerun_of must be the name"),
        ({"dry_run": "yes"}, "dry_run must be true or false, not 'yes'"),
        ({"dry_run": 1}, "dry_run must be true or false, not 1"),
        ({"rerun_of": "r", "repositories": ["aa"]}, "rerun_of and repositories cannot be combined"),
        (
            {"rerun_of": "r", "repository_filter": "a"},
            "rerun_of and repository_filter cannot",
        ),
        (
            {"repositories": ["aa"], "repository_filter": "a"},
            "repositories and repository_filter cannot be combined",
        ),
    ],
)
def test_names_the_field_and_what_is_accepted(document: object, said: str) -> None:
    with pytest.raises(InvalidRescanRequest, match=said):
        read_request(document)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["repositories", "repository_filter", "rescan_after", "rerun_of", "dry_run", "Comment", "x"]
)


@given(json_values | st.dictionaries(keys, json_values | st.from_regex(r"[0-9]{1,4}[mwdh]")))
def test_reads_or_refuses_whatever_comes(document: object) -> None:
    try:
        request = read_request(document)
    except InvalidRescanRequest as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 either end is right
    else:
        assert request.rescan_after is None or request.rescan_after >= timedelta(hours=24)
