"""A walk with one mesh for all of its shapes: an animation, correspondences, landmarks.

Frame and unit: those of the source. Letters: T shapes, V vertices, F faces.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from shapespace.bending.carry import CarriedShape, carry
from shapespace.bending.samples import size_of
from shapespace.errors import InputError
from shapespace.geometry.attachment import attach
from shapespace.geometry.components import largest_component
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.walks.path import Walk, code_at
from shapespace.rendering.animation import write_morph
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.utils.files import replacing
from shapespace.utils.plain import MOST_JSON, is_list_of, is_number, json_object

ANIMATION, VERTICES, FACES, LANDMARKS = "walk.glb", "vertices.npy", "faces.npy", "landmarks.json"
"""Files of a carried walk: morph targets; vertices of all shapes; faces; landmarks."""
FAR = 2e-3
"""Distance of a vertex from the zero set, in units of the shape's size, that is warned of."""
OFF_LANDMARK = 0.1
"""Distance of a landmark from the first shape, in units of its size, that is refused."""

Landmarks = Mapping[str, Float[np.ndarray, " 3"]]
"""The places of landmarks by name."""


class CarriedWalk(NamedTuple):
    """The shapes of a walk as one mesh.

    Args:
        vertices: of all shapes, in the frame of the source.
        faces: of each shape.
        distance: largest distance of a vertex to the zero set in each shape, in the source's unit.
        flipped: faces of each shape whose normals point inward.
        loose: parts of the first shape that are not carried.
        far: distance beyond which a vertex has left the zero set, in the source's unit.
    """

    vertices: Float[np.ndarray, "T V 3"]
    faces: Int[np.ndarray, "F 3"]
    distance: tuple[float, ...]
    flipped: tuple[int, ...]
    loose: int
    far: float

    def mesh(self, shape: int) -> trimesh.Trimesh:
        """The mesh of one shape."""
        return trimesh.Trimesh(self.vertices[shape], self.faces, process=False)

    def plain(self) -> dict[str, Any]:
        """Its facts as data that JSON can hold."""
        return {
            "vertices": self.vertices.shape[1],
            "faces": len(self.faces),
            "loose_parts_left_out": self.loose,
            "largest_distance": list(self.distance),
            "flipped": list(self.flipped),
        }

    def lines(self, unit: str) -> list[str]:
        """A line about the mesh, and one for each thing that is wrong with it.

        Args:
            unit: name of the unit of the source.
        """
        flipped = [row for row, count in enumerate(self.flipped) if count]
        said = [
            f"one mesh of {len(self.faces)} faces for all {len(self.vertices)} shapes, at most "
            f"{max(self.distance):.2g} {unit} from the zero set, "
            f"{max(self.flipped) or 'no'} flipped triangle{'s' if max(self.flipped) > 1 else ''}"
        ]
        if self.loose:
            said.append(f"warning: {self.loose} loose parts of the first shape are not carried")
        if max(self.distance) > self.far:
            worst = int(np.argmax(self.distance))
            said.append(
                f"warning: the carried mesh has left the zero set, {worst:03d} by "
                f"{self.distance[worst]:.2g} {unit}: the shape lost a part that the mesh has"
            )
        if flipped:
            said.append(
                f"warning: the carried mesh has flipped triangles in {len(flipped)} shapes, "
                f"{max(self.flipped)} at most: the walk folds the surface"
            )
        return said


def carried_walk(space: TrainedSpace, walk: Walk, mesh: trimesh.Trimesh) -> CarriedWalk:
    """Carry the largest part of the first shape along a walk.

    Args:
        space: the space.
        walk: the walk.
        mesh: the whole zero set of its first point, in the frame of the space.

    Raises:
        InputError: the first shape has no surface.
    """
    first = largest_component(mesh)
    if not len(first.faces):
        raise InputError(f"{walk.shapes[0]}: has no surface; begin the walk at another shape")
    shapes = carry(space.decoder, walk_code(walk), first, walk_times(walk))
    frames = [point.frame for point in walk.points]
    scale = frames[0].scale
    return CarriedWalk(
        vertices=_placed(shapes, frames),
        faces=np.asarray(first.faces, np.int64),
        distance=tuple(
            float(shape.distance.max() * frame.scale)
            for shape, frame in zip(shapes, frames, strict=True)
        ),
        flipped=tuple(shape.flipped for shape in shapes),
        loose=int(first.metadata.get("dropped_components", 0)),
        far=FAR * size_of(shapes[0].vertices) * scale,
    )


def walk_times(walk: Walk) -> list[float]:
    """The time of each point of a walk; a leg takes a unit of time."""
    return [number / (walk.steps - 1) for number in range(len(walk.points))]


def walk_code(walk: Walk) -> Any:
    """The code of a walk as a function of time."""

    def code(time: float) -> Tensor:
        row = min(int(time), len(walk.legs) - 1)
        return code_at(walk.legs[row].corners, time - row)

    return code


def write_carried(found: CarriedWalk, folder: Path, landmarks: Landmarks | None) -> list[Path]:
    """Write the animation, the correspondences and, where there are any, the landmarks.

    Args:
        found: the carried walk.
        folder: where the files go.
        landmarks: on the first shape, in its frame.

    Returns:
        The files.

    Raises:
        InputError: a landmark is far from the first shape.
    """
    paths = [write_morph(found.vertices, found.faces, folder / ANIMATION, place_colours(found))]
    for name, array in ((VERTICES, found.vertices), (FACES, found.faces)):
        with replacing(folder / name) as part, part.open("wb") as file:
            np.save(file, array)
        paths.append(folder / name)
    if landmarks:
        carried = carried_landmarks(found, landmarks)
        with replacing(folder / LANDMARKS) as part:
            part.write_text(json.dumps(carried, indent=1, allow_nan=False) + "\n", "utf-8")
        paths.append(folder / LANDMARKS)
    return paths


def carried_landmarks(found: CarriedWalk, landmarks: Landmarks) -> dict[str, Any]:
    """Each landmark with its triangle, weights and height there, and its place on each shape.

    Args:
        found: the carried walk.
        landmarks: on the first shape, in its frame.

    Raises:
        InputError: a landmark is far from the first shape.
    """
    names = list(landmarks)
    points = np.stack([landmarks[name] for name in names])
    mesh = found.mesh(0)
    gap = point_to_mesh(points, mesh)
    most = OFF_LANDMARK * size_of(found.vertices[0])
    if (gap > most).any():
        row = int(gap.argmax())
        raise InputError(
            f"landmark {names[row]!r}: lies {gap[row]:.3g} from the first shape; give points "
            f"within {most:.3g} of its surface, in its frame"
        )
    held = attach(points, mesh)
    places = held.on(found.vertices, found.faces)
    return {
        name: {
            "triangle": int(held.triangle[row]),
            "weights": held.weights[row].tolist(),
            "height": float(held.height[row]),
            "points": places[:, row].tolist(),
        }
        for row, name in enumerate(names)
    }


def read_landmarks(path: str | Path) -> Landmarks:
    """Landmarks of a JSON file ``{name: [x, y, z], ...}``.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MOST_JSON:
        raise InputError(f"{path}: has {len(content)} bytes; landmarks are a few points")
    try:
        found = json_object(content)
    except ValueError as error:
        raise InputError(f"{path}: {error}; give {{name: [x, y, z], ...}}") from error
    for name, place in found.items():
        whole = is_list_of(place, is_number) and len(place) == 3 and np.isfinite(place).all()
        if not whole:
            raise InputError(f"{path}: {name!r} is no point; give three numbers, [x, y, z]")
    return {name: np.array(place, np.float64) for name, place in found.items()}


def place_colours(found: CarriedWalk) -> UInt8[np.ndarray, "V 3"]:
    """Colours that say where a vertex is on the first shape: red, green and blue for x, y and z.

    The same place of the body has the same colour in all shapes.
    """
    first = found.vertices[0]
    low, high = first.min(0), first.max(0)
    share = (first - low) / np.maximum(high - low, 1e-300)
    return np.round(40 + 200 * share).astype(np.uint8)


def _placed(shapes: Sequence[CarriedShape], frames: Sequence[Frame]) -> Float[np.ndarray, "T V 3"]:
    """The vertices of all shapes in the frames of their sources."""
    places = zip(shapes, frames, strict=True)
    return np.stack([frame.to_source(shape.vertices) for shape, frame in places])
