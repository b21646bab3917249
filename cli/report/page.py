"""The report as one page: a file that needs no network, and runs no script but its own."""

import base64
import functools
import hashlib
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from cli.report.contents import contents
from cli.report.document import Report
from cli.report.names import channel_name
from cli.report.wording import ago, how_ended, short, which_run
from reporting.text import visible
from runtime.nouns import counted


def page(report: Report) -> str:
    """Return the HTML of a report."""
    style, script = Markup(_file("report.css")), Markup(_file("report.js"))  # noqa: S704 # ours
    return _template().render(
        all=contents(report),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "channel": channel_name,
        "counted": counted,
        "ended": how_ended,
        "minute": "{:%Y-%m-%d %H:%M} UTC".format,
        "day": "{:%Y-%m-%d}".format,
        "number": "{:,}".format,
        "short": short,
        "which": which_run,
    }
    return environment.get_template("report.html.j2")


def _file(name: str) -> str:
    return (files("cli.report") / "page_files" / name).read_text("utf-8")


def _shown(value: object) -> object:
    """Make text from outside visible; what is ours is Markup."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    """Return the hash of a script or style, as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
