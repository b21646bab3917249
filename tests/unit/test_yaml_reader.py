import pytest
import yaml

from accepted_risks.yaml_reader import LOADER, Mapping, Scalar, Sequence, UnreadableYaml, parse

LOADERS = [yaml.SafeLoader, LOADER]


@pytest.mark.parametrize("loader", LOADERS)
def test_reads_values_as_they_are_written_with_their_lines(loader: type[yaml.SafeLoader]) -> None:
    text = "# a remark\na: 1.10\nb:\n  - 2027-03-31\n  - 'no'\n  - ~\n"
    assert parse(text, loader) == Mapping(
        2,
        (
            (Scalar(2, "a"), Scalar(2, "1.10")),
            (
                Scalar(3, "b"),
                Sequence(4, (Scalar(4, "2027-03-31"), Scalar(5, "no"), Scalar(6, None))),
            ),
        ),
    )


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("--- ~", None), ("null", None), ("'null'", "null"), ("''", ""), ("on", "on")],
)
def test_tells_an_empty_text_from_nothing(
    loader: type[yaml.SafeLoader], text: str, value: str | None
) -> None:
    assert parse(text, loader) == Scalar(1, value)


@pytest.mark.parametrize("loader", LOADERS)
def test_keeps_a_key_that_stands_twice(loader: type[yaml.SafeLoader]) -> None:
    read = parse("a: 1\na: 2\n", loader)
    assert isinstance(read, Mapping)
    assert [key for key, _ in read.members] == [Scalar(1, "a"), Scalar(2, "a")]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: [1, 2}", "line 2: not YAML: "),
        ("a:\n\tb: 1", "line 2: not YAML: found character"),
        ("a: 1\nb: c: d", "line 2: not YAML: mapping values are not allowed"),
        ("a: 1\nb: \x07", r"line 2: not YAML: the character '\x07' must be escaped."),
        ("\ud800", r"line 1: not YAML: the character '\ud800' must be escaped."),
        ('"\\UFFFFFFFF"', "not YAML: "),
        ("%YAML 1." + "9" * 5_000 + "\n---\na", "not YAML: "),
        ("a: &a 1\nb: *a", "line 2: the alias *a is not accepted."),
        ("&a [*a]", "line 1: the alias *a is not accepted."),
        ("a: 1\nb: !ruby x", "line 2: the tag !ruby is not accepted."),
        ("!!python/name:os.system x", "line 1: the tag tag:yaml.org,2002:python/name:os.system"),
        ("a: 1\n---\nb: 2", "a second document begins; one is accepted."),
        ("[" * 200_000, "line 1: nested more than 8 levels deep."),
        ("{a: " * 100_000, "line 1: nested more than 8 levels deep."),
        ("- " * 100_000, "line 1: nested more than 8 levels deep."),
        ("? " * 100_000, "line 1: nested more than 8 levels deep."),
    ],
)
def test_says_what_is_wrong_and_where(loader: type[yaml.SafeLoader], text: str, told: str) -> None:
    with pytest.raises(UnreadableYaml) as raised:
        parse(text, loader)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("loader", LOADERS)
def test_reads_as_deep_as_it_says(loader: type[yaml.SafeLoader]) -> None:
    parse("[" * 8 + "]" * 8, loader)
    with pytest.raises(UnreadableYaml, match="8 levels"):
        parse("[" * 9 + "]" * 9, loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_text_that_laughs_a_billion_times_is_refused_at_once(
    loader: type[yaml.SafeLoader],
) -> None:
    lines = ["a0: &a0 ha"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(UnreadableYaml, match=r"line 2: the alias \*a0 is not accepted\."):
        parse("\n".join(lines), loader)
