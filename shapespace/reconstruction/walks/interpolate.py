"""Interpolation between shapes: meshes along a path of codes, and what they are like."""

import json
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import trimesh

from shapespace.config.options import Factor, ReadOptions, WalkOptions
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.formats.readers import READERS
from shapespace.data.sources import find_sources
from shapespace.encoders.factors import Held, with_part
from shapespace.errors import InputError
from shapespace.geometry.components import components, largest_component
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.inputs import prepare_for, space_of_meshes, unit_of
from shapespace.reconstruction.walks.carried import (
    CarriedWalk,
    carried_walk,
    read_landmarks,
    write_carried,
)
from shapespace.reconstruction.walks.measure import (
    OFF_LINE,
    NearestTraining,
    ShapeFacts,
    bending_along,
    leg_facts,
    shape_facts,
)
from shapespace.reconstruction.walks.path import Walk, Waypoint, chosen_leg, points_of
from shapespace.rendering.previews import draw_row
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.files import output_folder, replacing
from shapespace.utils.progress import progress

FACTS = "walk.json"
"""Facts of all shapes of a walk, in its folder."""


def interpolate_shapes(
    checkpoint: str | Path,
    shapes: Sequence[str],
    out: str | Path,
    options: WalkOptions = WalkOptions(),
    *,
    unit: str = "auto",
    seed: int = 0,
    reading: ReadOptions = ReadOptions(),
    on_remark: Callable[[str], object] = lambda _: None,
) -> list[Path]:
    """Write meshes along the paths from shape to shape, ``strip.png`` of all, and ``walk.json``.

    With ``fixed_topology`` the meshes are one mesh that is carried along, and ``walk.glb`` is its
    animation. ``walk.json`` says of each shape how many parts it has, its volume, area and genus,
    its bending energy and the nearest training shape, and of each leg which path was taken and
    what is wrong.

    Args:
        checkpoint: file of a trained space.
        shapes: names of training scans, or scan files, whose codes are found first.
        out: folder for the results.
        options: of the path and the meshes.
        unit: length unit of scan files, as in :class:`~shapespace.config.options.MeshOptions`.
        seed: seed of the sampling of scan files.
        reading: how scan files are read.
        on_remark: called with each line about what of a file is not used, mended or left out, and
            about each leg: its path, its shapes, what is wrong with them.

    Returns:
        The files that were written.
    """
    steps = options.steps
    landmarks = None if options.landmarks is None else read_landmarks(options.landmarks)
    if len(shapes) < 2 or steps < 2:
        raise InputError(f"{len(shapes)} shapes and steps={steps}: give at least two of each")
    space = space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    scans = [_scan_in(space, shape, unit=unit, seed=seed, reading=reading) for shape in shapes]
    for line in grouped_accounts((scan.source, scan.account) for scan in scans if scan is not None):
        on_remark(line)
    walk = planned(space, shapes, scans, options)
    wholes, facts = _measured(space, walk, options)
    unit = unit_of(space, walk.waypoints[0].frame)
    carried = None
    paths: list[Path] = []
    if options.fixed_topology:
        with progress(desc="carrying the mesh", total=1, unit="walk") as bar:
            carried = carried_walk(space, walk, wholes[0])
            bar.update()
        paths += write_carried(carried, folder, landmarks)
        meshes = [carried.mesh(row) for row in range(len(walk.points))]
    else:
        kept = [largest_component(each) if options.parts == "largest" else each for each in wholes]
        meshes = [
            _in_frame(each, point.frame) for each, point in zip(kept, walk.points, strict=True)
        ]
    paths = [write_mesh(each, folder / _name(row)) for row, each in enumerate(meshes)] + paths
    paths += _strip(meshes, folder)
    paths.append(_write_facts(space, walk, facts, carried, folder / FACTS, unit, on_remark))
    return paths


def _name(number: int) -> str:
    """The file of a shape."""
    return f"{number:03d}.ply"


def _measured(
    space: TrainedSpace, walk: Walk, options: WalkOptions
) -> tuple[list[trimesh.Trimesh], list[ShapeFacts]]:
    """The whole zero set at each point of a walk, in the frame of the space, and its facts."""
    nearest = NearestTraining(space)
    wholes, facts = [], []
    for number, point in enumerate(progress(walk.points, "meshing", unit="mesh")):
        mesh = extract_mesh(
            space.decoder, point.code, options.resolution, space.extent, largest_only=False
        )
        wholes.append(mesh)
        placed = _in_frame(mesh, point.frame)
        facts.append(
            shape_facts(
                placed,
                file=_name(number),
                t=walk.share(number),
                dropped=0 if options.whole else max(0, components(mesh)[0] - 1),
                cost=bending_along(space, point.code, walk.direction(number), mesh),
                nearest=nearest(point.code),
            )
        )
    return wholes, facts


def planned(
    space: TrainedSpace,
    shapes: Sequence[str],
    scans: Sequence[PreparedScan | None],
    options: WalkOptions,
) -> Walk:
    """Find the codes of the shapes, the paths between them and the points on the paths.

    Args:
        space: the space.
        shapes: names of training scans, or scan files.
        scans: the scan of each file, and None for the name of a training scan.
        options: of the path.
    """
    waypoints = [_waypoint(space, shape, scan) for shape, scan in zip(shapes, scans, strict=True)]
    if options.hold is not None:
        waypoints = _holding(space, waypoints, options.hold)
    pairs = progress(list(pairwise(waypoints)), "choosing a path", unit="leg")
    legs = [chosen_leg(space, start.code, end.code, options.path) for start, end in pairs]
    points = points_of(waypoints, legs, options.steps)
    return Walk(tuple(shapes), tuple(waypoints), tuple(legs), tuple(points), options.steps)


def _holding(space: TrainedSpace, waypoints: Sequence[Waypoint], hold: Factor) -> list[Waypoint]:
    """The waypoints with one part of the code of the first."""
    if not space.identity_size:
        raise InputError(
            f"hold={hold}: {space.path} has codes of one part; train with model.identity_size"
        )
    held = Held(hold, waypoints[0].code)
    return [
        Waypoint(with_part(point.code, held, space.identity_size), point.frame)
        for point in waypoints
    ]


def _in_frame(mesh: trimesh.Trimesh, frame: Frame) -> trimesh.Trimesh:
    """A mesh of the space in the frame of its source."""
    return trimesh.Trimesh(
        frame.to_source(mesh.vertices), mesh.faces, metadata=dict(mesh.metadata), process=False
    )


def _strip(meshes: Sequence[trimesh.Trimesh], folder: Path) -> list[Path]:
    """Draw all meshes side by side; nothing but a warning where that cannot be done."""
    try:
        return [draw_row(meshes, folder / "strip.png")]
    except InputError as error:
        warnings.warn(f"no strip.png: {error}", stacklevel=3)
        return []


def _write_facts(
    space: TrainedSpace,
    walk: Walk,
    shapes: Sequence[ShapeFacts],
    carried: CarriedWalk | None,
    path: Path,
    unit: str,
    on_remark: Callable[[str], object],
) -> Path:
    """Write the facts of all legs and of the carried mesh, and say them in lines."""
    legs = []
    for row, (leg, ends) in enumerate(zip(walk.legs, pairwise(walk.shapes), strict=True)):
        first = row * (walk.steps - 1)
        members = list(shapes[first : first + walk.steps])
        # The last shape of a leg is the first of the next one.
        members[-1] = members[-1].at(1.0)
        found = leg_facts(members, leg, start=ends[0], end=ends[1])
        legs.append(found.plain())
        for line in found.lines(unit):
            on_remark(line)
    content: dict[str, Any] = {
        "checkpoint": str(space.path),
        "space": space.digest,
        "unit": unit,
        "bound": OFF_LINE,
        "legs": legs,
    }
    if carried is not None:
        content["carried"] = carried.plain()
        for line in carried.lines(unit):
            on_remark(line)
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
    return path


def _scan_in(
    space: TrainedSpace, shape: str, *, unit: str, seed: int, reading: ReadOptions
) -> PreparedScan | None:
    """The scan in a file; None for the name of a training scan."""
    is_file = Path(shape).exists() or Path(shape).suffix.lower() in READERS or "/" in shape
    if shape in space.names or not is_file:
        return None
    sources = find_sources(Path(shape))
    if len(sources) > 1:
        raise InputError(f"{shape}: holds {len(sources)} scans; give one scan file")
    return prepare_for(space, sources[0], unit, seed, reading=reading)


def _waypoint(space: TrainedSpace, shape: str, scan: PreparedScan | None) -> Waypoint:
    """The code and frame of a training scan, or of the scan of a file, which is fitted."""
    if scan is None:
        return Waypoint(space.code(shape), space.frame(shape))
    fitted = space.fit([scan])
    # The pose leads from the scan to the space. Its inverse, a shift, goes into the frame.
    shift = fitted.poses.shift[0].double().cpu().numpy()
    return Waypoint(fitted.codes[0], Frame(scan.frame.to_source(-shift[None])[0], scan.frame.scale))
