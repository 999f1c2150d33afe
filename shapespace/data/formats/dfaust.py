"""The two layouts of D-FAUST (Bogo et al. 2017), read a frame at a time, frames named alike.

Registrations: ``registrations_{m,f}.hdf5`` with ``faces`` (F,3), zero-based, and one dataset
``<subject>_<sequence>`` of shape (V,3,T) for each sequence, T frames in metres.
Raw scans: ``scans/<subject>/<sequence>/<sequence>.<frame>.ply``; a frame is digits, as 001831.

Letters: V vertices, F faces, T frames of one sequence.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from shapespace.data.formats.readers import RawScan, check_faces, checked
from shapespace.data.store import hdf5
from shapespace.errors import InputError, one_line

SUFFIXES = (".hdf5", ".h5")
FRAME_LIST = "frames.csv"
"""Beside registration files: which frame each column is."""
MAX_KEPT = 64_000_000
"""Bytes of a sequence that may stay in memory where its chunks span all frames."""


def list_sequences(path: Path) -> dict[str, int]:
    """Number of frames of each sequence of a registration file, in order of their names.

    Only shapes and ``faces`` are read. :class:`InputError` if the file breaks the layout.
    """
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        if "faces" not in file:
            raise InputError(f"{path}: no 'faces' dataset, so not a D-FAUST registration file")
        shapes = {name: hdf5.dataset(file, name).shape for name in sorted(file) if name != "faces"}
        if not shapes:
            raise InputError(f"{path}: no sequence beside 'faces'; fetch the file again")
        for name, shape in shapes.items():
            _check_shape(path, name, shape, next(iter(shapes.values()))[0])
        _read_faces(path, file, next(iter(shapes.values()))[0])
    return {name: shape[2] for name, shape in shapes.items()}


def list_frames(path: Path) -> dict[str, list[str]]:
    """What the frames of each sequence of a registration file are called, column by column.

    (a) ``frames.csv`` beside the file says it: columns subject, sequence, registration_column and
    frame_name (``<sequence>.<frame>``) or frame_number (written with six digits); (b) else, a
    sequence with T raw scans in ``scans/`` beside the file takes their frames in ascending order;
    (c) else the column, five digits. :class:`InputError` as :func:`list_sequences`, and if
    frames.csv does not name all columns of a sequence once, each by a frame of its own.
    """
    sequences, listed = list_sequences(path), path.with_name(FRAME_LIST)
    if listed.is_file():
        return _listed_frames(listed, sequences)
    raw: defaultdict[str, list[str]] = defaultdict(list)
    for scan in scan_files(path.parent) if (path.parent / "scans").is_dir() else ():
        sequence, frame = scan_place(scan)
        raw[sequence].append(frame)
    return {
        name: sorted(raw[name], key=lambda frame: (len(frame), frame))
        if len(raw[name]) == count
        else [f"{column:05d}" for column in range(count)]
        for name, count in sequences.items()
    }


def read_frame(path: Path, sequence: str, frame: int) -> RawScan:
    """The registered mesh of column ``frame``; :class:`InputError` if it is NaN or damaged."""
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        data = hdf5.dataset(file, sequence)
        if (
            data.chunks is not None
            and data.chunks[-1] >= data.shape[-1]
            and data.nbytes <= MAX_KEPT
        ):
            state = path.stat()
            whole = _read_sequence(path, sequence, (state.st_mtime_ns, state.st_size))
            vertices = np.asarray(whole[:, :, frame], np.float64)
        else:
            vertices = np.asarray(data[:, :, frame], np.float64)
        faces = _read_faces(path, file, len(vertices))
    try:
        return checked(vertices, faces)
    except ValueError as error:
        where = f"{path}: frame {frame} of {sequence!r}"
        raise InputError(one_line(f"{where} cannot be used: {error}")) from error


def scan_files(folder: Path) -> list[Path]:
    """The raw scans under ``folder``, the folder ``scans`` or its parent, sorted; else none."""
    root = folder / "scans" if (folder / "scans").is_dir() else folder
    return sorted(
        path for path in root.glob("*/*/*.ply") if path.name.startswith(f"{path.parent.name}.")
    )


def scan_place(path: Path) -> tuple[str, str]:
    """``<subject>_<sequence>`` and frame of a raw scan, by its path."""
    folder = path.parent
    return f"{folder.parent.name}_{folder.name}", path.stem.removeprefix(f"{folder.name}.")


def single_scan_place(path: Path) -> tuple[str, str] | None:
    """:func:`scan_place` of ``scans/<subject>/<sequence>/<sequence>.<digits>.ply``, else None."""
    path = path.absolute()
    name = re.escape(path.parent.name) + r"\.[0-9]{1,12}\.ply"
    known = len(path.parts) > 4 and path.parts[-4] == "scans" and re.fullmatch(name, path.name)
    return scan_place(path) if known else None


@lru_cache(maxsize=1)
def _read_sequence(path: Path, sequence: str, _: tuple[int, int]) -> np.ndarray:
    """All frames; the last sequence stays, for where one frame costs as much as all of them."""
    with hdf5.open_hdf5(path) as file:
        return hdf5.dataset(file, sequence)[...]


def _listed_frames(path: Path, sequences: dict[str, int]) -> dict[str, list[str]]:
    found: dict[str, dict[int, str]] = {name: {} for name in sequences}
    seen: set[tuple[str, int]] = set()
    for line, row in _rows(path):
        where, name = f"{path}: line {line}", f"{row['subject']}_{row['sequence']}"
        if name not in found:
            continue
        column, frame = row["registration_column"], _frame(where, row)
        if not re.fullmatch("[0-9]{1,9}", column) or int(column) >= sequences[name]:
            columns = f"{name!r} has columns 0 to {sequences[name] - 1}"
            raise InputError(one_line(f"{where}: registration_column {column!r}; {columns}"))
        if int(column) in found[name] or (name, int(frame)) in seen:
            twice = f"{name!r} has column {column} or frame {frame} twice; name each once"
            raise InputError(one_line(f"{where}: {twice}"))
        found[name][int(column)] = frame
        seen.add((name, int(frame)))
    for name, frames in found.items():
        if len(frames) < sequences[name]:
            named = f"names {len(frames)} of the {sequences[name]} columns of {name!r}"
            raise InputError(one_line(f"{path}: {named}; add the others or remove the file"))
    return {name: [frame for _, frame in sorted(rows.items())] for name, rows in found.items()}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            header = set(reader.fieldnames or ())
            needed = {"subject", "sequence", "registration_column"} - header
            if not header & {"frame_name", "frame_number"}:
                needed.add("frame_name")
            if needed:
                raise InputError(f"{path}: no column {' or '.join(sorted(needed))}; add it")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({one_line(error)})") from error


def _frame(where: str, row: dict[str, str]) -> str:
    """The digits of the frame, as in the name of the raw scan's file."""
    number = row.get("frame_number", "")
    given = row.get("frame_name") or (number and number.zfill(6))
    digits = given.removeprefix(f"{row['sequence']}.")
    if not re.fullmatch("[0-9]{1,12}", digits):
        example = f"{row['sequence']}.001831 or 001831"
        raise InputError(one_line(f"{where}: frame {given!r}; write it as {example}"))
    return digits


def _check_shape(path: Path, name: str, shape: tuple[int, ...], num_vertices: int) -> None:
    where = f"{path}: sequence {one_line(name)!r} of shape {shape}"
    if len(shape) != 3 or shape[1] != 3:
        raise InputError(f"{where}; the axes must be (vertices, 3, frames)")
    if shape[2] == 0:
        raise InputError(f"{where} has no frame; remove it")
    if shape[0] != num_vertices:
        raise InputError(f"{where}, another has {num_vertices} vertices; one 'faces' fits one")


def _read_faces(path: Path, file: hdf5.File, num_vertices: int) -> np.ndarray:
    faces = np.asarray(hdf5.dataset(file, "faces", numeric="iu")[...], np.int64)
    try:
        check_faces(faces, num_vertices)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return faces
