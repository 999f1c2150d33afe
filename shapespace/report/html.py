"""One self-contained HTML page: text, tables and pictures in a single file, no network."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Literal

from shapespace.utils.files import replacing

STYLES = ("style.css", "player.css")
"""Files of this package that hold the style of a page."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What a browser may load for the page: nothing that is not in it."""
_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass
class Page:
    """A page that grows section by section. title, lead: its head."""

    title: str
    lead: str = ""
    sections: list[str] = field(default_factory=list)

    def section(self, title: str, text: str, *blocks: str) -> None:
        """Add a card with a heading, a sentence and blocks of HTML made by the functions below."""
        head = f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>"
        self.sections.append(f"<section>{head}{''.join(blocks)}</section>")

    def write(self, path: Path) -> Path:
        """Write the page, whole or not at all."""
        title = html.escape(self.title)
        text = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{_style()}</style></head><body><main>"
            f"<h1>{title}</h1><p>{html.escape(self.lead)}</p>{''.join(self.sections)}"
            "</main></body></html>\n"
        )
        with replacing(path) as part:
            part.write_text(text, "utf-8")
        return path


def picture(path: Path, alt: str) -> str:
    """A PNG or SVG file as an image within the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:{_KINDS[path.suffix]};base64,{data}">'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    kind: Literal["summary", "plain", "names"] = "plain",
) -> str:
    """A table; its first column is text. kind: "summary" if its last row is one,
    "names" if most cells are text.
    """
    head = "".join(f"<th>{html.escape(cell).replace('_', '_<wbr>')}</th>" for cell in header)
    return _table(f"<tr>{head}</tr>", rows, kind)


def definition_list(rows: Sequence[Sequence[str]]) -> str:
    """A table of names and what is to be said about each, in sentences."""
    return _table("", rows, "words")


def code(text: str) -> str:
    """Text as typed."""
    return f"<pre>{html.escape(text)}</pre>"


def note(text: str) -> str:
    """A small paragraph."""
    return f'<p class="note">{html.escape(text)}</p>'


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def details(summary: str, *blocks: str) -> str:
    """Blocks that open with a click on ``summary``."""
    return f"<details><summary>{html.escape(summary)}</summary>{''.join(blocks)}</details>"


def side_by_side(*blocks: str) -> str:
    """Blocks beside each other where the window is wide enough."""
    return f'<div class="pair">{"".join(f"<div>{block}</div>" for block in blocks)}</div>'


def _style() -> str:
    """The text of all style sheets, which the page carries so that it needs no network."""
    folder = files("shapespace.report")
    return "".join(folder.joinpath(name).read_text("utf-8") for name in STYLES)


def _table(head: str, rows: Sequence[Sequence[str]], kind: str) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="{kind}">{head}{body}</table></div>'
