"""Draw new shapes of a space: meshes, codes, and a sheet with each one's nearest training shape.

Frame and unit: a sample has no scan, so that its files are in the frame and unit of the space.
Letters: K samples, L code length.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import Factor
from shapespace.encoders.factors import columns_of
from shapespace.errors import InputError, at_least, one_line, printable
from shapespace.evaluation.samples.judge import SampleScores, judge
from shapespace.evaluation.samples.prior import drawn_codes, prior_of
from shapespace.evaluation.samples.shapes import CoarseShapes
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.reconstruction.results import bytes_of_code, read_code, read_mesh
from shapespace.rendering.meshes import BLUE, GREY, Figure, render_grid, save_image
from shapespace.utils.files import output_folder, read_inside, remove_leftovers, replacing
from shapespace.utils.plain import is_number, json_object
from shapespace.utils.progress import progress

SAMPLES = "samples.json"
"""File with the facts of all samples."""
SHEET = "sheet.png"
"""Picture of all samples, each above its nearest training shape."""
COLUMNS = 8
"""Samples in a row of the sheet."""
HEIGHT = 260
"""Pixels of a row of the sheet."""


@dataclass(frozen=True)
class Sample:
    """A new shape.

    Args:
        name: of its files, such as 003.
        faces: of its mesh; 0 if the field of its code has no surface.
        nearest: name of the nearest training shape; "" for an empty sample, or without libigl.
        distance: mean two-sided distance to it, in the unit of the space; None where unknown.
    """

    name: str
    faces: int
    nearest: str
    distance: float | None

    def line(self, unit: str) -> str:
        """The facts in one line; metres are shown in mm."""
        if not self.faces:
            return f"{self.name}: EMPTY (the field of this code has no surface)"
        if self.distance is None:
            return f"{self.name}: {self.faces} faces"
        near = f"nearest to {printable(self.nearest)}, {shown_length(self.distance, unit)} off"
        return f"{self.name}: {self.faces} faces, {near}"


@dataclass
class Drawn:
    """The samples of one call.

    Args:
        folder: of their files.
        unit: of the space, "m" or "radius".
        samples: in the order of their numbers.
        kept: how many an earlier call had made.
        scores: of the set; None unless it was judged.
        remarks: what could not be done.
    """

    folder: Path
    unit: str
    samples: list[Sample] = field(default_factory=list)
    kept: int = 0
    scores: SampleScores | None = None
    remarks: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What a person wants to know, in lines."""
        lines = [sample.line(self.unit) for sample in self.samples]
        if self.scores is not None:
            lines += self.scores.lines(self.unit)
        kept = f", {self.kept} of an earlier call" if self.kept else ""
        return [*lines, *self.remarks, f"wrote {len(self.samples)} samples to {self.folder}{kept}"]


def draw_samples_of(
    checkpoint: str | Path,
    out: str | Path,
    *,
    prior: str | Path | None = None,
    num: int = 16,
    seed: int = 0,
    resolution: int = 128,
    judged: bool = False,
    up: str = "y",
    hold: tuple[Factor, str] | None = None,
) -> Drawn:
    """Write new shapes: ``<number>.ply``, ``.npy`` (the code), ``.json``, and the sheet of all.

    Each sample has a generator of its own: more samples leave the first ones as they are. Samples
    of an earlier call with the same space, prior, seed and resolution are kept.

    Args:
        checkpoint: of the space.
        out: folder for the results.
        prior: file of the prior; None takes the one beside the checkpoint.
        num: K.
        seed: of the draws.
        resolution: grid nodes along the longest side of a mesh.
        judged: compare the samples as a set with the training shapes too.
        up: the axis of the shapes that points up, for the sheet.
        hold: the part of the code that all samples have from a training scan, and its name.

    Raises:
        InputError: the space has no meshes, or the prior is that of another space, or a part is
            held and there is none, or the prior is no mixture.
    """
    at_least(1, num=num)
    at_least(2, resolution=resolution)
    space = space_of_meshes(checkpoint, seed)
    held = None if hold is None else space.held(*hold)
    columns = None if held is None else (held.code, columns_of(held.factor, space.identity_size))
    codes = drawn_codes(prior_of(space, prior), num, seed, columns)
    shapes = CoarseShapes(space)
    found = Drawn(output_folder(out), space.unit)
    remove_leftovers(found.folder)
    made_by = {"space": space.digest, "seed": seed, "resolution": resolution}
    for row, code in enumerate(progress(codes, "sampling", unit="shape")):
        sample = _kept(found.folder, f"{row:03d}", code, made_by)
        found.kept += sample is not None
        found.samples.append(sample or _write(found, f"{row:03d}", code, shapes, made_by))
    if judged:
        surfaces = [shapes.surface(code) for code in progress(codes, "judging", unit="shape")]
        off = [np.inf if each.distance is None else each.distance for each in found.samples]
        found.scores = judge(shapes, surfaces, np.array(off), seed)
    facts = {
        **made_by,
        "unit": space.unit,
        "samples": [asdict(sample) for sample in found.samples],
        "scores": None if found.scores is None else found.scores.as_dict(),
    }
    with replacing(found.folder / SAMPLES) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    try:
        save_image(sheet(found, shapes, up), found.folder / SHEET)
    except InputError as error:
        found.remarks.append(f"no {SHEET}: {error}")
    return found


def sheet(drawn: Drawn, shapes: CoarseShapes, up: str = "y") -> np.ndarray:
    """The picture of samples in rows, each sample above its nearest training shape.

    Args:
        drawn: the samples, whose meshes are read from their folder.
        shapes: of the space.
        up: the axis of the shapes that points up.

    Raises:
        InputError: embreex, matplotlib or Pillow is not installed.
    """
    rows: list[list[Figure]] = []
    for start in range(0, len(drawn.samples), COLUMNS):
        some = drawn.samples[start : start + COLUMNS]
        rows += figures(drawn.folder, some, shapes, drawn.unit)
    return render_grid(rows, height=HEIGHT, up=up)


def figures(
    folder: Path, samples: Sequence[Sample], shapes: CoarseShapes, unit: str
) -> list[list[Figure]]:
    """A row of samples, and below it the row of their nearest training shapes, if known.

    Args:
        folder: of the samples.
        samples: some of them.
        shapes: of the space.
        unit: of the space.
    """
    new, near = [], []
    for sample in samples:
        mesh = read_mesh(folder, sample.name)
        off = "" if sample.distance is None else f": {shown_length(sample.distance, unit)} off"
        shape = np.zeros((0, 3)) if mesh is None else mesh
        new.append(Figure(shape, BLUE, sample.name + ("" if sample.faces else ": empty")))
        names = shapes.space.names
        known = sample.nearest in names
        mesh = shapes.training(names.index(sample.nearest)).mesh if known else None
        label = f"{printable(sample.nearest)}{off}" if known else ""
        near.append(Figure(np.zeros((0, 3)) if mesh is None else mesh, GREY, label))
    return [new, near] if any(sample.nearest for sample in samples) else [new]


def read_samples(folder: Path) -> tuple[list[Sample], dict[str, Any]] | None:
    """The samples that an earlier call left in a folder, and the facts of all; None if none.

    Raises:
        InputError: the file is damaged.
    """
    facts = _facts(folder, SAMPLES)
    if facts is None:
        return None
    listed = facts.get("samples")
    found = [_sample(each) for each in listed] if isinstance(listed, list) else [None]
    samples = [each for each in found if each is not None]
    if len(samples) < len(found) or facts.get("unit") not in ("m", "radius"):
        raise InputError(f"{folder / SAMPLES}: is damaged; run shapespace prior sample again")
    return samples, facts


def _sample(plain: object) -> Sample | None:
    """A sample of its plain facts; None if they are not those of one."""
    if not isinstance(plain, dict):
        return None
    name, faces, nearest = (plain.get(key) for key in ("name", "faces", "nearest"))
    distance = plain.get("distance")
    if not (isinstance(name, str) and name.isdigit() and isinstance(nearest, str)):
        return None
    if not isinstance(faces, int) or not (distance is None or is_number(distance)):
        return None
    return Sample(name, faces, nearest, distance)


def _facts(folder: Path, name: str) -> dict[str, Any] | None:
    """The object in a JSON file of a folder; None if there is none, InputError if it is damaged."""
    content = read_inside(folder, name)
    try:
        return None if content is None else json_object(content)
    except ValueError as error:
        raise InputError(f"{folder / name}: is damaged ({one_line(error, 80)})") from error


def _kept(
    folder: Path, name: str, code: Float[Tensor, " L"], made_by: dict[str, Any]
) -> Sample | None:
    """The sample of this code that an earlier call has made, if it is whole."""
    try:
        facts = _facts(folder, f"{name}.json")
        if facts is None or facts.get("made_by") != made_by:
            return None
        before = read_code(folder, name)
        if before is None or not np.array_equal(before, code.numpy()):
            return None
        sample = _sample(facts.get("sample"))
        return sample if read_mesh(folder, name) is not None else None
    # What cannot be read is made anew.
    except InputError:
        return None


def _write(
    drawn: Drawn,
    name: str,
    code: Float[Tensor, " L"],
    shapes: CoarseShapes,
    made_by: dict[str, Any],
) -> Sample:
    """Mesh a code and write its files; the .json last, which marks it as done."""
    space = shapes.space
    mesh = space.mesh(code.to(space.codes.table.weight), resolution=made_by["resolution"])
    write_mesh(mesh, drawn.folder / f"{name}.ply")
    with replacing(drawn.folder / f"{name}.npy") as part:
        part.write_bytes(bytes_of_code(code))
    nearest, distance = "", None
    surface = shapes.surface(code)
    if len(surface.points):
        try:
            row, distance = shapes.nearest(code, surface)
            nearest = space.names[row]
        except InputError as error:
            if f"no distances: {error}" not in drawn.remarks:
                drawn.remarks.append(f"no distances: {error}")
    distance = distance if distance is not None and np.isfinite(distance) else None
    sample = Sample(name, len(mesh.faces), nearest if distance is not None else "", distance)
    with replacing(drawn.folder / f"{name}.json") as part:
        part.write_text(json.dumps({"made_by": made_by, "sample": asdict(sample)}) + "\n", "utf-8")
    return sample


def shown_length(distance: float | None, unit: str) -> str:
    """A distance for a person: metres in mm; "unknown" for None."""
    if distance is None:
        return "unknown"
    return f"{1000 * distance:.3g} mm" if unit == "m" else f"{distance:.3g} radii"
