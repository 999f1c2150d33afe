"""Text files of columns: XYZ, TXT, CSV, ASC and PTS.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.

Letters: N points, C columns.
"""

import codecs
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shapespace.data.formats.clouds.columns import REMEDY, cloud, roles_of
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import listed, parsed, plain_numbers
from shapespace.errors import InputError, one_line

START = 1 << 16
"""Bytes in which the header is looked for."""
_COMMENT = re.compile(r"\s*(?:#+|//+|%+|!+)")
_WITH_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+(?:[eE][-+]?[0-9]+)?")
# A number between quotes: "1,5" or "20,064.5".
_QUOTED_COMMA = re.compile(rb'"\s*[-+]?[0-9]+(?:,[0-9]+|(?:,[0-9]{3})+\.[0-9]*)\s*"')
_COMMENT_LINE = re.compile(rb"(?m)^[ \t]*[%!].*$")
DECIMAL_COMMAS = (
    "decimal commas: it cannot be told where a number ends; write decimal points, or semicolons "
    "between the numbers"
)


@dataclass(frozen=True)
class _Layout:
    """How the rows of a file are written.

    Args:
        start: number of lines before the first row.
        separator: character between numbers; None for blanks.
        ended: whether the separator also ends each row.
        names: names of the columns; None if the file gives none.
        count: number of points that a line before the rows gives; None without such a line.
        commas: whether decimals are written with commas.
        numbered: numbers that stand before the rows as names of the columns, "0 1 2"; "" for none.
    """

    start: int
    separator: str | None
    ended: bool
    names: list[str] | None
    count: int | None
    commas: bool
    numbered: str


def read_text(content: bytes, chosen: Sequence[str] | None = None) -> Contents:
    """Read rows of numbers, with blanks, tabs, commas or semicolons between them.

    Before the rows may stand comments, one line with the names of the columns, and one with the
    number of points. ``#`` starts a comment everywhere, ``%`` and ``!`` at the start of a line.

    Args:
        content: the file.
        chosen: names of the columns that the user gave.

    Raises:
        ValueError: the rows cannot be read, or it cannot be told what their columns mean.
    """
    content = _decoded(content)
    layout = _layout(content, strict=chosen is None)
    body = content.split(b"\n", layout.start)[-1]
    rows = _rows(body, layout)
    if layout.count is not None and layout.count != len(rows):
        raise ValueError(f"its first line says {layout.count} points, the file has {len(rows)}")
    contents = cloud(rows, names=layout.names, chosen=chosen)
    if not len(rows):
        raise ValueError("no rows of numbers")
    if layout.numbered:
        names = f"names of columns ({layout.numbered})"
        contents = replace(contents, unused=(*contents.unused, names))
    return contents


def is_cloud(start: bytes) -> bool:
    """Tell a cloud from a note or another table by the first bytes of a text file."""
    whole = start if len(start) < START else start.rpartition(b"\n")[0]
    try:
        _layout(_decoded(whole), strict=True)
    except ValueError as error:
        # What is certainly a cloud is read, and refused with the reason.
        return isinstance(error, InputError)
    return True


def _decoded(content: bytes) -> bytes:
    """The text as UTF-8 with plain line ends and numbers, whatever Windows program wrote it."""
    content = _as_utf8(content)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b'"' in content:
        if _QUOTED_COMMA.search(content):
            raise InputError(
                "numbers in quotes with a comma: it may stand before decimals or between thousands;"
                " write decimal points, and nothing between thousands"
            )
        content = content.replace(b'"', b"")
    return plain_numbers(content)


def _as_utf8(content: bytes) -> bytes:
    """The text as UTF-8 without a mark at its beginning."""
    # The mark of UTF-32 begins with that of UTF-16.
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return content.decode("utf-32", "replace").encode()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode()
    # Without a mark: every other byte of digits in UTF-16 is 0, which no other text has.
    for encoding, zeros, others in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        start = content[:200]
        if len(start) > 1 and not any(start[zeros::2]) and all(start[others::2]):
            return content.decode(encoding, "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8)


def _layout(content: bytes, strict: bool) -> _Layout:
    """Find the first row of numbers, and what the lines before it say.

    Args:
        content: the file, or its beginning.
        strict: refuse a line of words that does not name the columns.

    Raises:
        ValueError: there is no row, or a line before it is neither a comment nor names.
    """
    words: list[str] = []
    count = None
    numbered = ""
    lines = content[:START].decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        separator = _separator(line)
        row = _split(line, separator)
        if any(parsed(word) is None and word for word in row) and not _decimal_commas(line):
            words.append(line)
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if count is None and len(row) == 1 and len(_split(following, _separator(following))) > 1:
            count = int(row[0]) if row[0].isdigit() else None
            continue
        if not any(row):
            continue
        if not (words or numbered) and _are_names(row, lines[number + 1 :]):
            numbered = listed([word for word in row if word])
            continue
        # A separator may end the rows, or stand before an empty cell; an empty cell between tabs is
        # no mere spacing. The header tells.
        num_names = len(_header(words[-1])) if words else 0
        cells = line.split("\t" if separator is None else separator)
        if len(cells) == num_names != len(row):
            separator, row = "\t" if separator is None else separator, cells
        ended = len(cells) > len(row) and separator is not None
        return _Layout(
            start=number,
            separator=separator,
            ended=ended,
            names=_names(words, len(row), strict),
            count=count,
            commas=_check_commas(lines[number:], separator),
            numbered=numbered,
        )
    if strict and words:
        _names(words, 0, strict)
    raise ValueError("no vertices: no row of numbers")


def _are_names(row: list[str], following: list[str]) -> bool:
    """True if a row of numbers names the columns: 0, 1, 2 and so on, as pandas writes them.

    Behind an empty cell, which stands over the numbers of the rows, they are names. Otherwise some
    number of the other rows has to be written with decimals: the row may be a point.
    """
    names = row[1:] if row[0] == "" else row
    if len(names) < 2 or names != [str(number) for number in range(len(names))]:
        return False
    return row[0] == "" or any("." in line.split("#")[0] for line in following[:1000])


def _header(line: str) -> list[str]:
    """The words of a line that may name the columns, without the mark of a comment."""
    text = _COMMENT.sub("", line, count=1)
    return _split(text, "\t" if "\t" in text.strip() else _separator(text))


def _names(words: list[str], count: int, strict: bool) -> list[str] | None:
    """The names of ``count`` columns, from the last line before the rows that gives them."""
    for line in reversed(words):
        names = _header(line)
        is_header = {"x", "y"} <= roles_of(names).keys()
        if is_header and len(names) == count:
            return names
        # Only a line that must be names is refused; a comment may say anything.
        if strict and not _COMMENT.match(line):
            shown = repr(one_line(line, 60))
            if is_header:
                raise InputError(
                    f"the header {shown} names {len(names)} columns, a row has {count}; {REMEDY}"
                )
            raise ValueError(f"{shown} are neither numbers nor names of columns; {REMEDY}")
    return None


def _separator(line: str) -> str | None:
    """The character between the words of a line; None for blanks."""
    for character in (";", ",", "|"):
        if character in line and not (character == "," and _decimal_commas(line)):
            return character
    return None


def _split(line: str, separator: str | None) -> list[str]:
    """The words of a line; the separator may also end the line."""
    if separator is None:
        return line.split()
    return [word.strip() for word in line.strip().removesuffix(separator).split(separator)]


def _decimal_commas(line: str) -> bool:
    """True if words between blanks, tabs or semicolons are numbers with a comma in them."""
    words = [word for word in re.split(r"[;\s]+", line) if "," in word]
    alone = len(line.replace(";", " ").split()) == 1
    return bool(words) and not alone and all(_WITH_COMMA.fullmatch(word) for word in words)


def _check_commas(lines: list[str], separator: str | None) -> bool:
    """True if decimals are written with commas and something else stands between the numbers.

    Raises:
        InputError: commas could be both.
    """
    rows = [line.split("#")[0] for line in lines[:1000] if line.strip()]
    if separator == ",":
        # A comma with digits on both sides here, and one with a blank there: "0,5, 0,1".
        both = [re.fullmatch(r"(?:[-+]?[0-9]+,[0-9]+(?:,\s+|\s*$))+", row.strip()) for row in rows]
        # No program writes a whole number as 05.
        zeros = not any("." in row for row in rows) and any(
            re.search(r"(?:^|,)[-+]?0[0-9]", row) for row in rows
        )
        mixed = any(found and ", " in row for found, row in zip(both, rows, strict=True))
        cells = [row.strip().removesuffix(",").split(",") for row in rows]
        commas = mixed or zeros or _one_decimal(cells)
    else:
        commas = any(_WITH_COMMA.search(row) for row in rows)
    certain = separator in (";", "\t") or (bool(rows) and "\t" in rows[0])
    if commas and not certain:
        raise InputError(DECIMAL_COMMAS)
    return commas


def _one_decimal(rows: list[list[str]]) -> bool:
    """True if every other cell is one digit, as of 1,5,2,0,3,1 for 1.5 2.0 3.1."""
    fractions = [cell.strip() for row in rows for cell in row[1::2]]
    alike = len(rows) > 9 and len(rows[0]) in (4, 6, 12)
    return alike and all(re.fullmatch("[0-9]", cell) for cell in fractions)


def _rows(body: bytes, layout: _Layout) -> np.ndarray:
    """The numbers, [N,C]; an empty cell is NaN."""
    separator = layout.separator
    if layout.commas:
        body = body.replace(b",", b".")
    if separator is not None:
        between = re.escape(separator.encode())
        cells = rb"(?m)(?<=" + between + rb")[ \t]*(?=" + between + rb"|$)|^(?=" + between + rb")"
        if layout.ended:
            body = re.sub(rb"(?m)" + between + rb"[ \t]*$", b"", body)
        body = re.sub(cells if separator != "\t" else cells.replace(rb"[ \t]*", b""), b"nan", body)
    comments = ["#", "//"] if b"//" in body else "#"
    if b"%" in body or b"!" in body:
        body = _COMMENT_LINE.sub(b"", body)
    try:
        with warnings.catch_warnings():
            # loadtxt warns of a file without rows, which is refused later in any case
            warnings.simplefilter("ignore", UserWarning)
            return np.loadtxt(
                io.BytesIO(body), np.float64, ndmin=2, delimiter=separator, comments=comments
            )
    except ValueError as error:
        reason = str(error).split(";")[0].rstrip(".")
        raise ValueError(
            f"{reason}; write the same count of numbers in each row, with decimal points"
        ) from error
