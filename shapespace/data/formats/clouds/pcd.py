"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file. Counts of the header are compared with the bytes of the file before memory is
taken for them.

Letters: N points.
"""

from dataclasses import dataclass, replace

import numpy as np

from shapespace.data.formats.clouds.columns import named_cloud
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import plain_numbers

MAX_HEADER = 1 << 16
"""Bytes in which the end of the header is looked for."""
MOST_PACKED = 264
"""Most bytes that LZF makes of one byte: a reference of 3 bytes stands for 264 at most."""
KINDS = {"F": "f", "I": "i", "U": "u"}
"""NumPy kinds of the types of PCD."""
NO_TURN = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
"""The VIEWPOINT of a cloud that is neither moved nor turned."""


@dataclass(frozen=True)
class _Header:
    """The header of a PCD file.

    Args:
        columns: name of each field, its NumPy type and how many numbers of it a point has.
        num_points: N, as the header declares it.
        encoding: ascii, binary or binary_compressed.
        viewpoint: position and turn of the sensor, as in the file.
        body: offset of the first byte after the header.
    """

    columns: list[tuple[str, np.dtype, int]]
    num_points: int
    encoding: str
    viewpoint: str
    body: int

    @property
    def row(self) -> np.dtype:
        """Type of one point in a binary body; the i-th field is called "i"."""
        return np.dtype([(f"{i}", kind, (n,)) for i, (_, kind, n) in enumerate(self.columns)])


def read_pcd(content: bytes) -> Contents:
    """Read points and normals; other fields are named, and so is a VIEWPOINT that moves or turns.

    Points are in the frame of the file. The VIEWPOINT is not applied, as PCL does not apply it.
    """
    header = _header(content)
    body = content[header.body :]
    columns = _as_text(body, header) if header.encoding == "ascii" else _as_bytes(body, header)
    contents = named_cloud(columns)
    if [float(word) for word in header.viewpoint.split()] == NO_TURN:
        return contents
    return replace(contents, unused=(*contents.unused, f"VIEWPOINT {header.viewpoint}"))


def _header(content: bytes) -> _Header:
    """Parse the header; ValueError if it breaks the format."""
    found: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in found:
        end = content.find(b"\n", at, MAX_HEADER)
        if end < 0:
            raise ValueError("not a PCD file: no header that ends in a line DATA")
        words = content[at:end].decode("latin-1").split("#")[0].split()
        at = end + 1
        if words:
            found[words[0].upper()] = words[1:]
    names = found.get("FIELDS", found.get("COLUMNS", []))
    sizes = found.get("SIZE", ["4"] * len(names))
    kinds = found.get("TYPE", ["F"] * len(names))
    counts = found.get("COUNT", ["1"] * len(names))
    if not names or not len(names) == len(sizes) == len(kinds) == len(counts):
        raise ValueError("FIELDS, SIZE, TYPE and COUNT must have the same number of words")
    columns = []
    for name, size, kind, count in zip(names, sizes, kinds, counts, strict=True):
        if kind not in KINDS or size not in "1248" or (kind == "F" and size not in "48"):
            raise ValueError(f"field {name!r} has TYPE {kind} and SIZE {size}, which PCD has not")
        if not 0 < int(count) < MAX_HEADER:
            raise ValueError(f"field {name!r} has COUNT {count}; at least 1 is needed")
        columns.append((name, np.dtype(f"<{KINDS[kind]}{size}"), int(count)))
    num_points = int(*found["POINTS"]) if "POINTS" in found else _product(found)
    encoding = found["DATA"][0].lower() if found["DATA"] else ""
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise ValueError(f"DATA {encoding!r}; ascii, binary and binary_compressed are read")
    viewpoint = " ".join(found.get("VIEWPOINT", [])) or "0 0 0 1 0 0 0"
    return _Header(columns, num_points, encoding=encoding, viewpoint=viewpoint, body=at)


def _product(found: dict[str, list[str]]) -> int:
    """The number of points of a file that gives only width and height."""
    return int(*found.get("WIDTH", ["0"])) * int(*found.get("HEIGHT", ["1"]))


def _as_text(body: bytes, header: _Header) -> list[tuple[str, np.ndarray]]:
    """The columns of a text body, each a number a point."""
    width = sum(count for _, _, count in header.columns)
    words = plain_numbers(body).split()
    if not 0 <= header.num_points * width <= len(words):
        raise ValueError(f"the header says {header.num_points} points, the file has fewer")
    if len(words) > header.num_points * width:
        more = len(words) - header.num_points * width
        raise ValueError(f"{more} more numbers than {header.num_points} points of {width} have")
    rows = np.array(words, np.float64).reshape(header.num_points, width)
    columns = []
    at = 0
    for name, _, count in header.columns:
        columns.append((name, rows[:, at] if count == 1 else rows[:, at : at + count]))
        at += count
    return _single(columns)


def _as_bytes(body: bytes, header: _Header) -> list[tuple[str, np.ndarray]]:
    """The columns of a binary body, each a number a point."""
    size = header.num_points * header.row.itemsize
    packed = header.encoding == "binary_compressed"
    if packed:
        have, declared = np.frombuffer(body, "<u4", count=2).tolist()
        if declared != size or not have <= len(body) - 8 or size > MOST_PACKED * max(have, 1):
            raise ValueError(
                f"the header says {header.num_points} points, so {size} bytes; the body says "
                f"{declared} bytes, packed in {have} of {len(body) - 8}"
            )
        body = decompressed(body[8 : 8 + have], size)
    if not 0 <= size <= len(body):
        raise ValueError(f"the header says {header.num_points} points, the file has fewer")
    if not packed:
        rows = np.frombuffer(body, header.row, count=header.num_points)
        return _single([(name, rows[f"{i}"]) for i, (name, _, _) in enumerate(header.columns)])
    # Packed bodies hold all numbers of the first field, then all of the second.
    columns = []
    at = 0
    for name, kind, count in header.columns:
        numbers = np.frombuffer(body, kind, count=header.num_points * count, offset=at)
        columns.append((name, numbers.reshape(header.num_points, count)))
        at += numbers.nbytes
    return _single(columns)


def _single(columns: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """Make a column of each number; a field of several numbers gives name[0], name[1] and so on."""
    single = []
    for name, numbers in columns:
        table = numbers.reshape(len(numbers), -1)
        # PCL pads its points with fields of the name "_".
        if name == "_":
            continue
        if table.shape[1] == 1:
            single.append((name, table[:, 0]))
        else:
            single.append((f"{name} ({table.shape[1]} numbers)", table[:, 0]))
    return single


def decompressed(packed: bytes, size: int) -> bytes:
    """Unpack LZF (Lehmann, liblzf), the compression of PCD.

    A control byte below 32 precedes so many bytes, and one more, that stand as they are. Any other
    one is a reference to bytes that were written before. Its upper three bits are the length less
    2; if they are 7, the next byte is added. Its lower five bits and the next byte are the distance
    back, less 1.

    Args:
        packed: packed bytes.
        size: number of bytes that must come out.

    Raises:
        ValueError: the bytes break the format, or are not ``size`` bytes unpacked.
    """
    out = bytearray()
    at = 0
    while at < len(packed) and len(out) <= size:
        control = packed[at]
        at += 1
        if control < 32:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7 and at < len(packed):
            length += packed[at]
            at += 1
        if at >= len(packed):
            break
        start = len(out) - ((control & 31) << 8) - packed[at] - 1
        at += 1
        length += 2
        if start < 0:
            raise ValueError("the packed body refers to bytes before its beginning")
        part = out[start : start + length]
        # A reference may reach into what it writes itself: then the part repeats.
        out += (part * (length // len(part) + 1))[:length] if len(part) < length else part
    if len(out) != size or at != len(packed):
        raise ValueError(f"the packed body gives {len(out)} bytes, {size} are needed")
    return bytes(out)
