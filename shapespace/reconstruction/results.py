"""The files of a reconstruction, read again: its mesh, its code, its facts.

They may lie in a folder that anybody made. Only regular files below it are read, and nothing that
they name.

Letters: L code length.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.data.formats.ply import read_ply
from shapespace.data.formats.readers import MAX_COORDINATE, check_faces
from shapespace.data.sources import AnySource
from shapespace.errors import InputError, one_line, printable
from shapespace.reconstruction.record import check_facts, summary_line, verdict, with_dropped
from shapespace.utils.files import find_inside, read_inside
from shapespace.utils.plain import json_object

CODE, FACTS, MESH, PICTURE = ".npy", ".json", ".ply", ".png"
"""Suffixes of the files of one reconstruction."""
EMPTY = re.compile(rb"ply\s[^\0]{,500}\nelement vertex 0\s")
"""Begin of a PLY file without vertices."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Reconstruction:
    """One scan that was reconstructed.

    Args:
        name: name of the scan.
        code: the code that was found.
        facts: content of its .json file.
        path: file of its mesh.
    """

    name: str
    code: Float[Tensor, " L"]
    facts: dict[str, Any]
    path: Path

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The mesh, read from its file; InputError if that is missing, damaged or a link."""
        mesh = read_mesh(self.path.parent, self.name)
        if mesh is None:
            raise InputError(f"{self.path}: is not there any more; make it anew")
        return with_dropped(mesh, self.facts)

    @property
    def terms(self) -> dict[str, float]:
        """The unweighted terms of the objective at the end of the fit."""
        return self.facts["terms"]

    @property
    def verdict(self) -> str:
        """FAILED or DOUBTFUL and the reason; "" for a reconstruction that may be believed."""
        return verdict(self.facts)

    @property
    def failure(self) -> str:
        """Why the reconstruction FAILED; "" if it did not."""
        return self.verdict if self.verdict.startswith("FAILED") else ""

    def line(self) -> str:
        """The file of the mesh, and in one line how good the reconstruction is."""
        return printable(f"{self.path}: {summary_line(self.facts)}")


@dataclass
class Reconstructions:
    """The result of :func:`~shapespace.reconstruction.reconstruct.reconstruct_files`.

    Args:
        share: (i, n) where the call took the i-th of n parts of the scans, from 1.
        done: all reconstructions, those of an earlier call too.
        kept: names of the scans that an earlier call had done.
        skipped: name and reason of each scan that could not be used.
    """

    share: tuple[int, int] = (1, 1)
    done: list[Reconstruction] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line for each scan, for people to read."""
        lines = [item.line() for item in self.done if item.name not in self.kept]
        if self.kept:
            lines.append(f"kept {len(self.kept)} that were done before (--again does them anew)")
        lines += [printable(f"skipped {name}: {reason}") for name, reason in self.skipped]
        return lines + ([self._summary()] if self.share[1] > 1 else [])

    def _summary(self) -> str:
        share = "share {} of {}".format(*self.share)
        if not self.done and not self.skipped:
            return f"{share}: nothing to do, there are fewer scans than shares"
        new, kept = len(self.done) - len(self.kept), len(self.kept)
        return f"{share}: {new} reconstructed, {kept} kept, {len(self.skipped)} skipped"


def read_result(folder: Path, name: str) -> Reconstruction | None:
    """The reconstruction of a scan in a folder; None if one of its files is missing.

    The mesh is not read yet.

    Raises:
        InputError: a file is damaged, or a symbolic link.
    """
    facts = read_facts(folder, name)
    code = read_code(folder, name)
    mesh = find_inside(folder, name + MESH)
    if mesh is None or code is None or facts is None or facts.get("seconds") is None:
        return None
    return Reconstruction(name, torch.from_numpy(code), facts, mesh)


def read_facts(folder: Path, *parts: str) -> dict[str, Any] | None:
    """The facts of a reconstruction; None if there is no such file.

    Args:
        folder: the folder that is looked into.
        *parts: names of the folders below it, then that of the scan.

    Raises:
        InputError: the file is damaged, or a symbolic link.
    """
    return _read(folder, parts, suffix=FACTS, make=facts_of)


def read_code(folder: Path, *parts: str) -> Float[np.ndarray, " L"] | None:
    """The code of a reconstruction; arguments, result and errors as of :func:`read_facts`."""
    return _read(folder, parts, suffix=CODE, make=code_of)


def read_mesh(folder: Path, *parts: str) -> trimesh.Trimesh | None:
    """The mesh of a reconstruction; arguments, result and errors as of :func:`read_facts`."""
    return _read(folder, parts, suffix=MESH, make=mesh_of)


def _read(
    folder: Path, parts: Sequence[str], *, suffix: str, make: Callable[[bytes], Made]
) -> Made | None:
    """What ``make`` gives for the bytes of a file; its ValueError becomes an InputError."""
    *below, name = parts
    content = read_inside(folder, *below, name + suffix)
    if content is None:
        return None
    try:
        return make(content)
    except ValueError as error:
        path = folder.joinpath(*below, name + suffix)
        raise InputError(
            f"{path}: is damaged ({one_line(error)}); remove it, and make it anew"
        ) from error


def facts_of(content: bytes) -> dict[str, Any]:
    """The facts in the bytes of a JSON file; ValueError if they are damaged."""
    facts = json_object(content)
    check_facts(facts)
    return facts


def mesh_of(content: bytes) -> trimesh.Trimesh:
    """The mesh in the bytes of a PLY file, as :func:`write_mesh` writes it, empty or not.

    Vertices keep their order. Nothing else is opened, as a texture that the file names.

    Raises:
        ValueError: the file is damaged.
    """
    # The reader of scans refuses a file without vertices, which is what an empty mesh has.
    if EMPTY.match(content):
        return trimesh.Trimesh()
    try:
        found = read_ply(content)
    # Damaged bytes make numpy raise errors of many types, of which only the text is of use.
    except Exception as error:
        raise ValueError(one_line(error)) from error
    vertices = found.vertices
    faces = np.asarray(np.zeros((0, 3)) if found.faces is None else found.faces, np.int64)
    if vertices.shape[1] != 3 or not (np.abs(vertices) <= MAX_COORDINATE).all():
        raise ValueError("a vertex is not of three numbers below 1e100")
    if len(faces):
        check_faces(faces, len(vertices))
    normals = found.normals
    if normals is not None and not np.isfinite(normals).all():
        normals = None
    return trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False)


def bytes_of_code(code: Float[Tensor, " L"]) -> bytes:
    """A code as the bytes of a .npy file."""
    # np.save writes through a file of C, which hides why a disk refuses.
    buffer = io.BytesIO()
    np.save(buffer, code.cpu().numpy())
    return buffer.getvalue()


def code_of(content: bytes) -> Float[np.ndarray, " L"]:
    """The code in the bytes of a .npy file; ValueError if they are damaged."""
    stream = io.BytesIO(content)
    try:
        major, minor = np.lib.format.read_magic(stream)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    # The header is an expression of Python, and a damaged one makes errors of many types.
    except Exception as error:
        raise ValueError(one_line(error)) from error
    at = stream.tell()
    if (major, minor) != (1, 0) or len(shape) != 1 or kind not in (np.float32, np.float64):
        raise ValueError("holds no row of numbers")
    if shape[0] * kind.itemsize != len(content) - at:
        raise ValueError("its length is not that in its header")
    code = np.frombuffer(content, kind, offset=at).copy()
    if not np.isfinite(code).all():
        raise ValueError("a number of the code is not finite")
    return code


def part_of(
    sources: Sequence[AnySource], share: tuple[int, int], sequence: bool
) -> Sequence[AnySource]:
    """The scans of one share.

    Args:
        sources: all scans.
        share: (i, n), the i-th of n parts, from 1.
        sequence: the scans are the frames of a motion.

    Raises:
        InputError: there is no such part, or the frames would be torn apart.
    """
    part, of = share
    if not 1 <= part <= of:
        raise InputError(f"share={part, of}: give (i, n) with i from 1 to n")
    if sequence and of > 1:
        raise InputError(
            f"sequence in {of} shares: each frame begins where the one before it ended, so one "
            "process does them all; give --shard 1/1, and a process of its own to each sequence"
        )
    return sources[part - 1 :: of]
