"""Read the two layouts of D-FAUST (Bogo et al. 2017), one frame at a time.

Registrations: ``registrations_{m,f}.hdf5`` with ``faces`` (F,3), zero-based, and one dataset
``<subject>_<sequence>`` of shape (V,3,T) for each sequence: T frames in metres.
Raw scans: ``scans/<subject>/<sequence>/<sequence>.<frame>.ply``; the frame is a number in digits,
such as 001831.

A registration and the raw scan of the same frame get the same name wherever the frame of the
registration is known (:func:`list_frames`). Here "sequence" is short for ``<subject>_<sequence>``.

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
"""Suffixes of registration files."""
FRAME_LIST = "frames.csv"
"""File beside the registration files that lists the frame of each column."""
MAX_KEPT = 64_000_000
"""Largest sequence, in bytes, that is kept in memory if its chunks span all frames."""


def list_sequences(path: Path) -> dict[str, int]:
    """Count the frames of each sequence of a registration file; sequences are sorted by name.

    Only the shapes of the sequences, and ``faces``, are read. InputError if the file breaks the
    layout.
    """
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        if "faces" not in file:
            raise InputError(
                f"{path}: no 'faces' dataset, so not a D-FAUST registration file; fetch it again"
            )
        shapes = {name: hdf5.dataset(file, name).shape for name in sorted(file) if name != "faces"}
        if not shapes:
            raise InputError(f"{path}: no sequence beside 'faces'; fetch the file again")
        # All sequences share the one 'faces', so all must have the vertices of the first.
        num_vertices = next(iter(shapes.values()))[0]
        for name, shape in shapes.items():
            _check_shape(path, name, shape=shape, num_vertices=num_vertices)
        _read_faces(path, file, num_vertices)
    return {name: shape[2] for name, shape in shapes.items()}


def list_frames(path: Path) -> dict[str, list[str]]:
    """List the frames of each sequence of a registration file, column by column.

    The frames come from the first of these that is there:

    (a) ``frames.csv`` beside the file, with the columns subject, sequence, registration_column and
    either frame_name (``<sequence>.<frame>``) or frame_number (written with six digits);
    (b) the raw scans of the sequence in ``scans/`` beside the file, in ascending order of frames,
    if there are as many as columns;
    (c) the number of the column, five digits.

    Returns:
        For each sequence the digits of its frames.

    Raises:
        InputError: the file breaks the layout, or ``frames.csv`` does not list each column of a
            sequence once, with a frame that no other column has.
    """
    sequences = list_sequences(path)
    listed = path.with_name(FRAME_LIST)
    if listed.is_file():
        return _listed_frames(listed, sequences)
    raw: defaultdict[str, list[str]] = defaultdict(list)
    for scan in scan_files(path.parent) if (path.parent / "scans").is_dir() else ():
        sequence, frame = sequence_and_frame(scan)
        raw[sequence].append(frame)
    frames: dict[str, list[str]] = {}
    for name, count in sequences.items():
        if len(raw[name]) == count:
            # By length first, since "10" would come before "9" as text.
            frames[name] = sorted(raw[name], key=lambda frame: (len(frame), frame))
        else:
            # With another number of scans nothing says which columns have none.
            frames[name] = [f"{column:05d}" for column in range(count)]
    return frames


def read_frame(path: Path, sequence: str, frame: int) -> RawScan:
    """Read the registered mesh of one frame.

    Args:
        path: the registration file.
        sequence: name of the dataset, ``<subject>_<sequence>``.
        frame: column of the dataset.

    Raises:
        InputError: the frame has NaN vertices, or the file is damaged.
    """
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        data = hdf5.dataset(file, sequence)
        # HDF5 reads and unpacks whole chunks. Where a chunk spans all frames, one frame costs as
        # much as the sequence, so the sequence is kept for the frames that are asked for next.
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
    """List the raw scans in ``folder``, which is the folder ``scans`` or its parent; sorted.

    The list is empty for a folder of another layout.
    """
    root = folder / "scans" if (folder / "scans").is_dir() else folder
    return sorted(
        path for path in root.glob("*/*/*.ply") if path.name.startswith(f"{path.parent.name}.")
    )


def sequence_and_frame(path: Path) -> tuple[str, str]:
    """Read ``<subject>_<sequence>`` and the digits of the frame off the path of a raw scan."""
    folder = path.parent
    return f"{folder.parent.name}_{folder.name}", path.stem.removeprefix(f"{folder.name}.")


def match_sequence_and_frame(path: Path) -> tuple[str, str] | None:
    """Return :func:`sequence_and_frame` of any path, or None if it does not fit the layout.

    The layout is ``scans/<subject>/<sequence>/<sequence>.<frame>.ply``.
    """
    path = path.absolute()
    name = re.escape(path.parent.name) + r"\.[0-9]{1,12}\.ply"
    known = len(path.parts) > 4 and path.parts[-4] == "scans" and re.fullmatch(name, path.name)
    return sequence_and_frame(path) if known else None


@lru_cache(maxsize=1)
def _read_sequence(path: Path, sequence: str, _: tuple[int, int]) -> np.ndarray:
    """Read all frames of a sequence; the last sequence that was read stays in memory.

    The last argument, time and size of the file, makes a changed file be read anew.
    """
    with hdf5.open_hdf5(path) as file:
        return hdf5.dataset(file, sequence)[...]


def _listed_frames(path: Path, sequences: dict[str, int]) -> dict[str, list[str]]:
    """Read ``frames.csv``: the frames of ``sequences``, whose numbers of columns are given.

    Rows of other sequences are skipped, since one list may serve several registration files.
    """
    found: dict[str, dict[int, str]] = {name: {} for name in sequences}
    seen: set[tuple[str, int]] = set()
    for line, row in _rows(path):
        where = f"{path}: line {line}"
        name = f"{row['subject']}_{row['sequence']}"
        if name not in found:
            continue
        column = row["registration_column"]
        frame = _frame(where, row)
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
    """Read line number and fields of each row of ``frames.csv``."""
    try:
        # utf-8-sig drops the mark that spreadsheets write before the first column's name.
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
    """Return the digits of the frame, written as in the file name of the raw scan."""
    number = row.get("frame_number", "")
    given = row.get("frame_name") or (number and number.zfill(6))
    digits = given.removeprefix(f"{row['sequence']}.")
    if not re.fullmatch("[0-9]{1,12}", digits):
        example = f"{row['sequence']}.001831 or 001831"
        raise InputError(one_line(f"{where}: frame {given!r}; write it as {example}"))
    return digits


def _check_shape(path: Path, name: str, shape: tuple[int, ...], num_vertices: int) -> None:
    """InputError unless ``shape`` is (num_vertices, 3, frames)."""
    where = f"{path}: sequence {one_line(name)!r} of shape {shape}"
    if len(shape) != 3 or shape[1] != 3:
        raise InputError(f"{where}; the axes must be (vertices, 3, frames)")
    if shape[2] == 0:
        raise InputError(f"{where} has no frame; remove it")
    if shape[0] != num_vertices:
        raise InputError(f"{where}, another has {num_vertices} vertices; one 'faces' fits one")


def _read_faces(path: Path, file: hdf5.File, num_vertices: int) -> np.ndarray:
    """Read the triangles [F,3]; InputError if an index has no vertex."""
    faces = np.asarray(hdf5.dataset(file, "faces", numeric="iu")[...], np.int64)
    try:
        check_faces(faces, num_vertices)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return faces
