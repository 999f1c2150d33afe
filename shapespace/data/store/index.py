"""The index of a store: names, checksums and entries of all scans, in one dataset of the root.

HDF5 looks up a group and its attributes in 0.2 ms. For 41 000 scans that is 8 s and more before the
first step of a training. The index says the same in one read. It is optional: a store without it is
read scan by scan.

The bytes are S records, in the order of the names, and then the names in UTF-8 with a line break
between two of them. The index is only a claim: its names and checksums must give the content hash
of the header, and its entry of a scan is compared with the group before any of its points is read.

How the scans were read stands in a second dataset of bytes, which stores of earlier versions have
not: for each scan the number of its account, 4 bytes, and then a JSON list of all accounts that
differ.

Letters: S scans, D dimension (2 or 3).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from shapespace.data.store import hdf5
from shapespace.data.store.layout import Entry, content_of
from shapespace.errors import InputError, one_line
from shapespace.scan import NORMALS_KINDS, Frame, is_scan_name

KEY = "index"
"""Name of the dataset."""
ACCOUNTS = "accounts"
"""Name of the dataset of accounts."""
NOTHING = -1
"""Offset of a part that a scan does not have."""
OFFSETS = ("points", "sigma", "normals", "target_points", "target_distance")
"""Fields of an entry that are offsets in the file."""


@dataclass(frozen=True)
class Index:
    """The index of an open store.

    Args:
        names: names of the scans, sorted.
        records: one record for each name, see :func:`record_type`.
        row_of: number of the record of each name.
    """

    names: tuple[str, ...]
    records: np.ndarray
    row_of: Mapping[str, int]

    def entry(self, name: str) -> Entry:
        """Return the entry of a scan as the index claims it."""
        record = self.records[self.row_of[name]]
        # All fields at once: one by one takes five times as long, for each of all scans.
        value = dict(zip(record.dtype.names, record.item(), strict=True))
        sigma, normals = (None if value[k] == NOTHING else value[k] for k in ("sigma", "normals"))
        return Entry(
            frame=Frame(np.array(value["centre"]), value["scale"]),
            num_points=value["num_points"],
            points=value["points"],
            sigma=sigma,
            normals=normals,
            normals_kind=NORMALS_KINDS[value["normals_kind"]],
            num_targets=value["num_targets"],
            target_points=value["target_points"],
            target_distance=value["target_distance"],
            targets_signed=bool(value["targets_signed"]),
        )

    def agrees(self, name: str, entry: Entry) -> bool:
        """Say whether the index claims of a scan what its group holds."""
        record = self.records[self.row_of[name]]
        return record.tobytes() == record_of(entry, record["checksum"].tobytes().hex()).tobytes()


def record_type(dimension: int) -> np.dtype:
    """Return the type of a record: checksum, counts, offsets and frame of one scan."""
    return np.dtype(
        [
            ("checksum", "u1", 32),
            *((key, "<i8") for key in ("num_points", "num_targets", *OFFSETS)),
            ("centre", "<f8", dimension),
            ("scale", "<f8"),
            ("normals_kind", "u1"),
            ("targets_signed", "u1"),
        ]
    )


def record_of(entry: Entry, checksum: str) -> np.ndarray:
    """Return the record of one scan, of rank 0; ``checksum`` is hexadecimal."""
    record = np.zeros((), record_type(len(entry.frame.centre)))
    record["checksum"] = np.frombuffer(bytes.fromhex(checksum), np.uint8)
    for key in ("num_points", "num_targets", "targets_signed", *OFFSETS):
        value = getattr(entry, key)
        record[key] = NOTHING if value is None else value
    record["centre"] = entry.frame.centre
    record["scale"] = entry.frame.scale
    record["normals_kind"] = NORMALS_KINDS.index(entry.normals_kind)
    return record


def write_index(root: hdf5.File, records: Mapping[str, np.ndarray]) -> None:
    """Write the records of all scans, by name, to the root of a store."""
    names = sorted(records)
    content = b"".join(records[name].tobytes() for name in names) + "\n".join(names).encode()
    hdf5.reserve(root, len(content))
    root[KEY] = np.frombuffer(content, np.uint8)


def write_accounts(root: hdf5.File, accounts: Sequence[str]) -> None:
    """Write the accounts of all scans, in the order of the names, to the root of a store."""
    number = {text: row for row, text in enumerate(dict.fromkeys(accounts))}
    numbers = np.array([number[text] for text in accounts], "<u4").tobytes()
    content = numbers + json.dumps(list(number)).encode()
    hdf5.reserve(root, len(content))
    root[ACCOUNTS] = np.frombuffer(content, np.uint8)


def read_accounts(root: hdf5.File, total: int) -> list[str] | None:
    """Read the accounts of ``total`` scans, or return None if the store does not list them.

    Raises:
        InputError: they do not fit the store.
    """
    if ACCOUNTS not in root:
        return None
    content = hdf5.dataset(root, ACCOUNTS, numeric="u")[()].tobytes()
    try:
        texts = json.loads(content[4 * total :])
        return [one_line(texts[number], 10_000) for number in np.frombuffer(content, "<u4", total)]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        _refuse(root, f"its accounts: {one_line(error, 80)}")


def read_index(root: hdf5.File, dimension: int, content: str) -> Index | None:
    """Read the index of a store, or return None if it has none.

    Args:
        root: the open store.
        dimension: D.
        content: content hash of its header.

    Raises:
        InputError: the index does not fit the store.
    """
    if KEY not in root:
        return None
    total = len(hdf5.group(root, "scans"))
    found = hdf5.dataset(root, KEY, numeric="u")
    kind = record_type(dimension)
    if found.ndim != 1 or found.dtype != np.uint8 or found.shape[0] < total * kind.itemsize:
        _refuse(root, f"{found.shape} of {found.dtype} for {total} scans")
    everything = found[()].tobytes()
    size = total * kind.itemsize
    records = np.frombuffer(everything[:size], kind)
    names = _names(root, everything[size:], total)
    checksums = records["checksum"].tobytes().hex()
    by_name = {name: checksums[64 * row : 64 * row + 64] for row, name in enumerate(names)}
    if list(names) != sorted(by_name) or content_of(by_name) != content:
        _refuse(root, "its names and checksums do not give the content of the store")
    good = np.isfinite(records["centre"]).all(axis=1) & np.isfinite(records["scale"])
    good &= (records["scale"] > 0) & (records["normals_kind"] < len(NORMALS_KINDS))
    good &= (records["num_points"] >= 0) & (records["num_targets"] >= 0)
    if not good.all():
        _refuse(root, f"the numbers of {names[int(good.argmin())]!r} make no sense")
    return Index(names, records, {name: row for row, name in enumerate(names)})


def _names(root: hdf5.File, text: bytes, total: int) -> tuple[str, ...]:
    """Decode the names at the end of the index."""
    try:
        names = tuple(text.decode("utf-8").split("\n")) if total else ()
    except UnicodeDecodeError:
        names = ()
    if len(names) != total or not all(is_scan_name(name) for name in names):
        _refuse(root, f"it does not name {total} scans")
    return names


def _refuse(root: hdf5.File, reason: Any) -> NoReturn:
    """Raise InputError about the index of a store."""
    raise InputError(
        f"{root.filename}: the index does not fit the scans ({reason}); "
        "run: shapespace prepare again"
    )
