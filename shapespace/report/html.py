"""One self-contained HTML page: text, tables and pictures in a single file, no network."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shapespace.utils.files import replacing

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #5f6c7b; --line: #e3e8ee; --blue: #2b6cb0; }
body { margin: 0; background: #f7f9fb; color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 0 0 4px; }
p { color: var(--soft); margin: 4px 0 14px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px;
          padding: 22px 24px; margin-top: 22px; }
img { display: block; max-width: 100%; margin: 8px auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
        font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; white-space: nowrap;
         border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
.scroll + .scroll { margin-top: 20px; }
.names th, .names td { text-align: left; }
tr:last-child td { border-bottom: 0; }
.summary tr:last-child td { font-weight: 700; }
.words td, .words th { text-align: left; white-space: normal; vertical-align: top; }
.words td:first-child { white-space: nowrap; color: var(--soft); }
.words td + td { min-width: 320px; overflow-wrap: anywhere; }
ul { margin: 8px 0; padding-left: 20px; }
details { margin-top: 12px; }
summary { cursor: pointer; color: var(--blue); font-size: 14px; }
.note { font-size: 14px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 8px 20px; }
.player { margin: 8px 0; }
.player canvas { display: block; width: 100%; height: 480px; border-radius: 10px; cursor: grab;
                 touch-action: none; outline-offset: 2px;
                 background: linear-gradient(#fdfeff, #e9eef4); }
.player figcaption { text-align: center; font-size: 14px; margin: 8px 0; min-height: 1.5em; }
.player .controls { display: flex; gap: 14px; align-items: center; }
.player [hidden] { display: none; }
.player button { font: inherit; font-size: 14px; width: 84px; padding: 6px 0; cursor: pointer;
                 border: 1px solid var(--line); border-radius: 8px; background: #fff;
                 color: var(--blue); }
.player input { flex: 1; accent-color: var(--blue); }
pre { background: #f1f4f8; border-radius: 8px; padding: 12px 14px; overflow-x: auto;
      font-size: 13px; }
"""
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
            f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
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


def _table(head: str, rows: Sequence[Sequence[str]], kind: str) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="{kind}">{head}{body}</table></div>'
