"""The document of accepted risks as a text: which line an entry is on, and how one is added."""

import re
from collections.abc import Iterator

from accepted_risks import yaml_reader
from accepted_risks.risks import AcceptedRisk, AcceptedRisks, UnusableAcceptedRisks

_KEY = "accepted_risks:"
_NOTHING = re.compile(r"^accepted_risks:[ \t]*(\[[ \t]*\]|~|null)?[ \t]*(#.*)?$", re.MULTILINE)


def lines_of(text: str) -> tuple[int, ...]:
    """Return the line of each entry of a valid document."""
    match yaml_reader.parse(text):
        case yaml_reader.Mapping(members=((_, yaml_reader.Sequence(items=items)),)):
            return tuple(item.line for item in items)
    return ()


def entry_text(risk: AcceptedRisk, indent: str = "  ") -> str:
    """Write an entry as YAML: texts in single quotes, in which no character means anything else."""
    fields = {
        "vulnerability": _quoted(risk.vulnerability),
        **({"repositories": _quoted(risk.repositories)} if risk.repositories else {}),
        "reason": _quoted(risk.reason),
        "expires": risk.expires.isoformat(),
        "accepted_by": _quoted(risk.accepted_by),
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    return "".join(
        f"{indent}{'- ' if place == 0 else '  '}{line}\n" for place, line in enumerate(lines)
    )


def with_entry(text: str, risk: AcceptedRisk) -> str | None:
    """Return a valid document with one entry more at its end, and all else as it was.

    None if the document has a form to which none can be added, such as a list in brackets. Raises
    UnusableAcceptedRisks for an entry that no document may have.
    """
    AcceptedRisks.read(f"{_KEY}\n{entry_text(risk)}")
    wanted = (*AcceptedRisks.read(text).entries, risk)
    for candidate in _candidates(text, risk):
        try:
            if AcceptedRisks.read(candidate).entries == wanted:
                return candidate
        except UnusableAcceptedRisks:
            continue
    return None


def _candidates(text: str, risk: AcceptedRisk) -> Iterator[str]:
    ended = text if not text or text.endswith("\n") else f"{text}\n"
    for indent in dict.fromkeys(re.findall(r"^([ \t]*)- ", text, re.MULTILINE)):
        yield f"{ended}{entry_text(risk, indent)}"
    yield f"{_NOTHING.sub(_KEY, ended, count=1)}{entry_text(risk)}"
    yield f"{ended}{_KEY}\n{entry_text(risk)}"


def _quoted(text: str) -> str:
    """Quote a text, unless it is a plain name."""
    if re.fullmatch(r"[A-Za-z][\w./@+-]*", text) and text.lower() not in _WORDS:
        return text
    return "'" + text.replace("'", "''") + "'"


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
