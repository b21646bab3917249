"""The words that the glossary replaces, and where they stand: `python -m tests.support.vocabulary`.

Read are prose and messages, not code: documents without their code spans and blocks, comments and
docstrings, the descriptions of the template, the comments of the state machines, and the texts in
functions/ that a person may read. Paths as arguments restrict the list to these.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeIs

import yaml

from tests.support.template import ROOT


class Kind(StrEnum):
    """What kind of text a passage is."""

    DOCUMENT = "document"
    TEMPLATE = "template"
    DEFINITION = "definition"
    COMMENT = "comment"
    DOCSTRING = "docstring"
    MESSAGE = "message"


# What operators read, unlike comments and docstrings.
PUBLISHED = frozenset({Kind.DOCUMENT, Kind.TEMPLATE, Kind.DEFINITION, Kind.MESSAGE})


@dataclass(frozen=True)
class Rule:
    """A word that is replaced, by what, and why. A space in a pattern is any white space."""

    pattern: str
    instead: str
    reason: str
    kinds: frozenset[Kind] = frozenset(Kind)
    exact_case: bool = False

    @property
    def regex(self) -> re.Pattern[str]:
        """Compile the pattern: whole words, in any case unless exact_case."""
        flags = re.NOFLAG if self.exact_case else re.IGNORECASE
        return re.compile(rf"(?<![\w-])(?:{self.pattern.replace(' ', r'\s+')})(?![\w-])", flags)


# "a message a scan": the thing that is counted, and the one that it is counted by.
_NO_NOUN = (
    "of|in|for|to|by|with|from|on|at|or|and|as|is|are|was|per|than|that|not|has|have|into|before|"
    "after|when|while|if|once|like|about|between|without"
)
_COUNTED = rf"(?!(?:{_NO_NOUN})\b)[A-Za-z]+"
_COUNTER = (
    "account|call|channel|child|container|day|digest|event|execution|finding|folder|function|GB|"
    "image|item|line|message|million|minute|mode|month|page|process|repository|run|scan|second|"
    "section|service|slice|step|tag|task|test|vulnerability|webhook|week|workflow"
)
_NUMBER = r"an?|one|two|three|four|five|six|seven|eight|nine|ten|[0-9](?:[0-9,.]*[0-9])?"

RULES = (
    Rule("tell|tells|telling|told", "notify, report, state, return", "it had six meanings"),
    Rule(
        "nobody|somebody|anybody|everybody|whoever|whomever",
        "the actor: ecr-rescan, subscribers, operators, no notification is sent",
        "the actor has a name",
    ),
    Rule("whatever", "any, every, regardless of", "say which"),
    Rule("people", "operators, subscribers, your team", "the reader has a role"),
    Rule("standings?", "image state", "glossary: image state"),
    Rule("stood|stands?(?! for| in (?:for|where))", "is, was", "nothing stands in a record"),
    Rule("forget|forgets|forgotten|forgetting", "remove, delete", "entries are removed"),
    Rule("remember(?:s|ed|ing)?", "store, record, cache", "what, and where"),
    Rule("hand(?:s|ed|ing)? out", "return", "functions return"),
    Rule("put right", "fix", "the field's word"),
    Rule("so many|so much", "a number of", "not plain"),
    Rule("by hand", "manual, manually", "ECR calls it a manual scan"),
    Rule("waves?", "batch", "glossary: batch"),
    Rule("slices?", "step", "glossary: step"),
    Rule("mend|mends|mended|mending", "fix", "the field's word"),
    Rule("as good as|as good", "the same, counts as", "not plain"),
    Rule("rightly", "expected", "not plain"),
    Rule("nor", "and no, or", "not plain"),
    Rule("all that (?:has|have|is|must|knows|it|ECR|the)", "everything, what", "not plain"),
    Rule(
        rf"(?:{_NUMBER}) (?:{_COUNTED} ){{0,2}}an? (?:{_COUNTER})",
        "one X per Y",
        "an X a Y has to be read twice",
    ),
    Rule("br(?:oke|eak|eaks|oken|eaking) off", "ended early, failed", "an execution fails"),
    Rule("red", "failed", "a colour of the console is no state"),
    Rule("green", "succeeded", "a colour of the console is no state"),
    Rule("e-mails?", "email", "spelling"),
    Rule("AWS Chatbot", "Amazon Q Developer in chat applications", "its name"),
    Rule("regions?", "Region", "AWS's spelling", PUBLISHED, exact_case=True),
    Rule("SLAs?", "due date", "nothing is agreed with anyone", exact_case=True),
    Rule("recalled|recalls", "reported again, read", "recalled also means withdrawn"),
    Rule("(?:for|in) the night|at night", "on call", "literary"),
    Rule("brakes?", "pause, throttle, mute", "literary"),
    Rule("before you leap", "dry run", "literary"),
    Rule(
        r"(?<!-letter\s)queues? Undelivered",
        "the dead-letter queue …",
        "glossary: always named as one",
    ),
    Rule("anew", "again, once more", "literary"),
    Rule("at once", "immediately; concurrently", "it has two meanings"),
    Rule("all the same", "nevertheless, anyway", "not plain"),
    Rule("half-way|half way", "midway, unfinished", "not plain"),
    Rule("vanish|vanishes|vanished", "expire, be deleted", "literary"),
    Rule("lest|ere|thereof|whence|whereby|withal|whilst|amongst", "plain words", "archaic"),
    Rule(r"(?<=,) for (?:it|they|there|nothing|he|we)", "because", "for is a preposition"),
    Rule("some (?:[0-9][0-9,.]*)", "about", "not plain"),
    Rule("of ours|of yours|of mine", "our own, your own", "not plain"),
    Rule("in force", "in effect, active", "not plain"),
    Rule("the truth", "the source of truth", "the field's word"),
    Rule("go(?:es)? on|went on|going on", "continue", "not plain"),
    Rule("taken? up|takes up|took up|taking up", "resume", "not plain"),
    Rule("came of|comes of|come of", "result", "not plain"),
    Rule("worded", "formatted", "messages are formatted"),
    Rule("for the night|the likes|its likes", "plain words", "literary"),
    Rule("PROBLEM|STILL_WELL|WELL", "ALARM, OK", "glossary: image state", exact_case=True),
    Rule("NOTICE", "INFO", "severity INFO; notice is a kind of report", exact_case=True),
)

PYTHON = ("cli", "functions", "local", "operations", "tests/support")
# The pattern table and its reasons name the very words.
EXEMPT = frozenset({"tests/support/vocabulary.py"})
# Released sections of the changelog stay as they were published.
RELEASED = re.compile(r"^## 0\.3\.0$", re.M)
_DESCRIBED = frozenset(
    {"AlarmDescription", "Comment", "ConstraintDescription", "Description", "default"}
)


@dataclass(frozen=True)
class Passage:
    """A text, and where it begins."""

    path: str
    line: int
    kind: Kind
    text: str


@dataclass(frozen=True)
class Hit:
    """A word that a rule replaces."""

    passage: Passage
    rule: Rule
    offset: int
    word: str

    def __str__(self) -> str:
        line = self.passage.line + self.passage.text.count("\n", 0, self.offset)
        word = " ".join(self.word.split())
        return (
            f"{self.passage.path}:{line}: {word!r} ({self.passage.kind}) → "
            f"{self.rule.instead}: {self.rule.reason}"
        )


def hits(*paths: str) -> list[Hit]:
    """List every word that the glossary replaces, in all passages or in those of some paths."""
    return [hit for passage in passages(*paths) for hit in hits_in(passage)]


def hits_in(passage: Passage) -> list[Hit]:
    """List the words of one passage that the glossary replaces."""
    text = _without_code(passage.text)
    found = [
        Hit(passage, rule, match.start(), match.group())
        for rule in RULES
        if passage.kind in rule.kinds
        for match in rule.regex.finditer(text)
    ]
    return sorted(found, key=lambda hit: hit.offset)


def passages(*paths: str) -> Iterator[Passage]:
    """Read everything that the glossary is for, or what of it is under some paths."""
    for path in _files():
        name = path.relative_to(ROOT).as_posix()
        if name in EXEMPT or (paths and not any(name.startswith(each) for each in paths)):
            continue
        text = path.read_text()
        if path.suffix == ".md":
            released = RELEASED.search(text) if name == "CHANGELOG.md" else None
            yield Passage(name, 1, Kind.DOCUMENT, text[: released.start()] if released else text)
        elif path.suffix == ".yaml":
            yield from _yaml_passages(name, text)
        elif path.suffix == ".py":
            yield from _python_passages(name, text)
        else:
            yield from _commented(name, text)


def _files() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "template.yaml", "Makefile"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "local").rglob("*.md"))
    yield from sorted((ROOT / "statemachine").glob("*.yaml"))
    for folder in PYTHON:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _yaml_passages(name: str, text: str) -> Iterator[Passage]:
    kind = Kind.TEMPLATE if name == "template.yaml" else Kind.DEFINITION
    for node in _described(yaml.compose(text)):
        yield Passage(name, node.start_mark.line + 1, kind, _source(text, node))
    yield from _commented(name, text)


def _described(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Find the values of Comment, Description and their like."""
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                if key.value in _DESCRIBED and isinstance(value, yaml.ScalarNode):
                    yield value
                yield from _described(value)
        case yaml.SequenceNode():
            for each in node.value:
                yield from _described(each)


def _source(text: str, node: yaml.ScalarNode) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _commented(name: str, text: str) -> Iterator[Passage]:
    """Read the comments of YAML, of make and of shell."""
    comments = [
        (number, match.group(1))
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"(?:^|\s)#+\s(.*)", line))
    ]
    yield from _blocks(name, comments)


def _blocks(name: str, comments: list[tuple[int, str]]) -> Iterator[Passage]:
    """Join comments on consecutive lines, because a phrase may continue on the next line."""
    block: list[tuple[int, str]] = []
    for number, comment in [*comments, (0, "")]:
        if block and number != block[-1][0] + 1:
            joined = "\n".join(text for _, text in block)
            yield Passage(name, block[0][0], Kind.COMMENT, joined)
            block = []
        block.append((number, comment))


def _python_passages(name: str, text: str) -> Iterator[Passage]:
    comments = [
        (token.start[0], token.string.lstrip("# "))
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    yield from _blocks(name, comments)
    tree = ast.parse(text)
    docstrings = list(_docstrings(tree))
    for node in docstrings:
        yield Passage(name, node.lineno, Kind.DOCSTRING, str(node.value))
    if name.startswith("functions/"):
        for constant in ast.walk(tree):
            if constant not in docstrings and _is_message(constant):
                yield Passage(name, constant.lineno, Kind.MESSAGE, str(constant.value))


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str()) as docstring), *_]:
                    yield docstring


def _is_message(node: ast.AST) -> TypeIs[ast.Constant]:
    """Return whether a constant is a text with several words, not a name, key or expression."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return " " in node.value and not node.value.startswith(("SET ", "REMOVE "))  # to DynamoDB


def _without_code(text: str) -> str:
    """Blank code blocks, code spans and addresses, with every line where it is."""
    for pattern in (r"^```.*?^```", r"`[^`\n]+(?:\n[^`\n]+)?`", r"\]\([^)\s]+\)", r"https?://\S+"):
        text = re.sub(
            pattern,
            lambda match: re.sub(r"[^\n]", "\N{MIDDLE DOT}", match.group()),
            text,
            flags=re.M | re.S,
        )
    return text


if __name__ == "__main__":
    found = hits(*sys.argv[1:])
    sys.stdout.writelines(f"{hit}\n" for hit in found)
    sys.exit(f"{len(found)} words that the glossary replaces" if found else 0)
