"""Pages of HTML that are one self-contained file each.

A :class:`Page` carries its style sheets, pictures and scripts, so that a browser shows the page
without a network. The functions below make blocks of HTML. All take plain text and escape it.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Literal

from shapespace.utils.files import replacing

STYLES = ("style.css", "player.css")
"""Style sheets of a page, files of this package."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content Security Policy: the browser may load only what the page itself contains."""
_MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass
class Page:
    """A page that grows section by section.

    Args:
        title: The title of the page, plain text.
        lead: The paragraph below the title, plain text.
        sections: HTML of the sections so far; :meth:`section` appends to this list.
    """

    title: str
    lead: str = ""
    sections: list[str] = field(default_factory=list)

    def section(self, title: str, text: str, *blocks: str) -> None:
        """Append a section.

        Args:
            title: The heading, plain text.
            text: The paragraph below the heading, plain text.
            *blocks: HTML made by the functions of this module, inserted as it is.
        """
        head = f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>"
        self.sections.append(f"<section>{head}{''.join(blocks)}</section>")

    def write(self, path: Path) -> Path:
        """Write the page to ``path`` and return ``path``; the file is complete or not written."""
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
            # A file of a stranger may hold half a character, which UTF-8 cannot.
            part.write_text(text, "utf-8", errors="replace")
        return path


def picture(path: Path, alt: str) -> str:
    """An image whose data the page contains.

    Args:
        path: A PNG or SVG file.
        alt: What the image shows, for readers who do not see it.
    """
    return image(path.read_bytes(), path.suffix, alt)


def image(content: bytes, suffix: str, alt: str) -> str:
    """An image whose data the page contains.

    Args:
        content: The bytes of a PNG or SVG file.
        suffix: ".png" or ".svg".
        alt: What the image shows, for readers who do not see it.
    """
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(alt)}" src="data:{_MEDIA_TYPES[suffix]};base64,{data}">'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    kind: Literal["summary", "plain", "names"] = "plain",
) -> str:
    """A table whose first column is text.

    Args:
        header: One title per column.
        rows: One text per cell.
        kind: "summary" sets the last row in bold; "names" aligns all cells to the left, for cells
            that are text; "plain" aligns all but the first column to the right, for numbers.
    """
    # A browser may break a long column name such as chamfer_half_unsquared after an underscore.
    head = "".join(f"<th>{html.escape(cell).replace('_', '_<wbr>')}</th>" for cell in header)
    return _table(f"<tr>{head}</tr>", rows, kind)


def definition_list(rows: Sequence[Sequence[str]]) -> str:
    """A table without a header: each row is a term and sentences about the term."""
    return _table("", rows, "words")


def code(text: str) -> str:
    """Text in a monospaced font, with its line breaks."""
    return f"<pre>{html.escape(text)}</pre>"


def note(text: str) -> str:
    """A small paragraph."""
    return f'<p class="note">{html.escape(text)}</p>'


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def details(summary: str, *blocks: str) -> str:
    """Blocks that are hidden until the reader clicks on ``summary``."""
    return f"<details><summary>{html.escape(summary)}</summary>{''.join(blocks)}</details>"


def side_by_side(*blocks: str) -> str:
    """Blocks in two or more columns, as many as the window has room for."""
    return f'<div class="pair">{"".join(f"<div>{block}</div>" for block in blocks)}</div>'


def _style() -> str:
    """The text of all style sheets, in the order of :data:`STYLES`."""
    folder = files("shapespace.report")
    return "".join(folder.joinpath(name).read_text("utf-8") for name in STYLES)


def _table(head: str, rows: Sequence[Sequence[str]], kind: str) -> str:
    """A table of class ``kind`` that scrolls sideways where the window is narrow."""
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="{kind}">{head}{body}</table></div>'
