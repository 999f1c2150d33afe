"""One self-contained HTML page: text, tables and pictures in a single file, no network."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shapespace.files import replacing

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
th { color: var(--soft); font-weight: 600; }
tr:last-child td { font-weight: 700; border-bottom: 0; }
pre { background: #f1f4f8; border-radius: 8px; padding: 12px 14px; overflow-x: auto;
      font-size: 13px; }
"""


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
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
            f"<h1>{title}</h1><p>{html.escape(self.lead)}</p>{''.join(self.sections)}"
            "</main></body></html>\n"
        )
        with replacing(path) as part:
            part.write_text(text, "utf-8")
        return path


def picture(path: Path, alt: str) -> str:
    """A PNG file as an image within the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its first column is text, its last row a summary."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def bullets(texts: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"


def code(text: str) -> str:
    """Text as typed."""
    return f"<pre>{html.escape(text)}</pre>"
