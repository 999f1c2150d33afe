"""A scan that is dropped on the page: read, fitted, judged and saved.

The file comes from anybody. It goes through the readers and limits of ``shapespace reconstruct``,
and its name must be able to name a file.

Letters: V vertices, N points, L code length.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.config.options import FitOptions
from shapespace.data.formats.contents import ORDINARY
from shapespace.data.sources import Source
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.fitting.result import FitResult
from shapespace.reconstruction.export import facts_of_reconstruction, write_mesh
from shapespace.reconstruction.inputs import MIN_SAMPLES, prepare_for
from shapespace.reconstruction.method import fit_scans
from shapespace.reconstruction.record import (
    facts_of_meshing,
)
from shapespace.reconstruction.results import CODE, FACTS, MESH, bytes_of_code
from shapespace.scan import PreparedScan, is_scan_name
from shapespace.space import TrainedSpace, placed
from shapespace.utils.files import path_inside, replacing
from shapespace.viewer.scene.colours import WORST, Colours, blended
from shapespace.viewer.scene.meshes import Picture

MOST_BYTES = 1 << 28
"""Largest file that is taken from the page."""
MOST_POINTS = 20_000
"""Points of a scan that are drawn and measured to."""


@dataclass(frozen=True)
class DroppedScan:
    """A scan and its reconstruction.

    Args:
        scan: the scan.
        fitted: its fit, of one row.
        mesh: its reconstruction, in the frame of the space.
        own_mesh: the same in the frame and unit of the file.
        deviation: standard deviation at each vertex, in the unit of the file; None if unknown.
        facts: as in the .json file of ``shapespace reconstruct``.
    """

    scan: PreparedScan
    fitted: FitResult
    mesh: trimesh.Trimesh
    own_mesh: trimesh.Trimesh
    deviation: Float[np.ndarray, " V"] | None
    facts: dict[str, Any]

    @cached_property
    def points(self) -> Float[np.ndarray, "N 3"]:
        """Points of the scan, in the frame of the space."""
        some = torch.from_numpy(self.scan.points[:MOST_POINTS]).double()
        return self.fitted.poses.exact()(some[None])[0].numpy()

    @cached_property
    def distance(self) -> Callable[[trimesh.Trimesh], Float[np.ndarray, " V"]]:
        """The distance of each vertex of a mesh of the space to the scan."""
        return distance_to(self.points)

    @property
    def shrink(self) -> float:
        """The factor from lengths of the file to lengths of the space."""
        return float(self.fitted.poses.scale[0]) / self.scan.frame.scale

    @property
    def verdict(self) -> str:
        """Whether the reconstruction is the scan, in one sentence."""
        return self.facts["verdict"] or "GOOD: the points lie on the shape of its code"

    def lines(self) -> list[str]:
        """Error, sureness and verdict, for people to read."""
        facts = self.facts
        unit = facts["off_unit"]
        sure = facts["deviation_95_percent"]
        account = facts["account"]
        ended = "" if facts["converged"] else ", NOT converged"
        return [
            self.verdict,
            f"points off by {facts['off_median']:.3g} {unit} median, "
            f"{facts['off_95_percent']:.3g} {unit} at 95 %; outliers {facts['outliers']:.1%}",
            *([] if sure is None else [f"surface sure to {sure:.3g} {unit} at 95 %"]),
            f"{facts['share_without_points']:.0%} of the surface without points; {facts['remark']}",
            *([] if ORDINARY.fullmatch(account) else [account]),
            f"read in {facts['unit']}; fitted in {facts['seconds']:.1f} s{ended}",
        ]


def read_dropped(space: TrainedSpace, name: str, content: bytes) -> PreparedScan:
    """Read a file that was dropped, by the readers of ``shapespace reconstruct``.

    Args:
        space: in whose unit the scan is read.
        name: of the file, as the browser gives it.
        content: its bytes.

    Raises:
        InputError: the file is too large or cannot be used, or its name cannot name a file.
    """
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{one_line(name)}: has {len(content) >> 20} MB, {MOST_BYTES >> 20} at most are taken "
            "from the page; use shapespace reconstruct"
        )
    if not is_scan_name(name):
        raise InputError(
            f"{one_line(name)!r}: cannot name a scan; rename the file to printable characters"
        )
    with TemporaryDirectory(prefix="shapespace-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return prepare_for(
                space,
                Source(path.stem, path),
                unit="auto",
                seed=0,
                num_points=max(FitOptions().num_points, MIN_SAMPLES),
            )
        except InputError as error:
            # The folder was never the user's.
            raise InputError(str(error).replace(f"{folder}/", "")) from error


def fit_dropped(
    space: TrainedSpace,
    scan: PreparedScan,
    mesh_of: Callable[[torch.Tensor], trimesh.Trimesh],
    options: FitOptions | None = None,
    on_round: Callable[[], object] = lambda: None,
) -> DroppedScan:
    """Find the code of a scan, and measure its reconstruction.

    Args:
        space: the space.
        scan: prepared for it.
        mesh_of: meshes a code, in the frame of the space.
        options: of the fit; by default that of the code alone, from which the sliders go on.
        on_round: called after each round of the search.
    """
    options = options or FitOptions(detail="none")
    fitted = fit_scans(options, space, [scan], on_round=on_round)
    start = time.perf_counter()
    mesh = mesh_of(fitted.codes[0])
    pose: Pose = fitted.poses.rows(torch.tensor([0])).exact()
    own_mesh = placed(mesh, scan.frame, pose)
    deviation = space.deviation(fitted, 0, own_mesh, scan.frame)
    known = deviation if np.isfinite(deviation).all() else None
    facts = facts_of_reconstruction(
        space,
        scan,
        fitted,
        0,
        mesh=own_mesh,
        deviation=known,
        made_by={"space": space.digest, **asdict(options)},
        more=facts_of_meshing(own_mesh, time.perf_counter() - start),
    )
    return DroppedScan(scan, fitted, mesh, own_mesh, known, facts)


def save_dropped(dropped: DroppedScan, folder: Path, name: str) -> list[Path]:
    """Write mesh, code and facts of a dropped scan as ``shapespace reconstruct`` does.

    Args:
        dropped: the scan.
        folder: that gets the files.
        name: of the files, without suffix.

    Returns:
        The files; the mesh is in the frame and unit of the file that was dropped.
    """
    paths = [path_inside(folder, name, suffix) for suffix in (MESH, CODE, FACTS)]
    write_mesh(dropped.own_mesh, paths[0], dropped.deviation)
    with replacing(paths[1]) as part:
        part.write_bytes(bytes_of_code(dropped.fitted.codes[0]))
    with replacing(paths[2]) as part:
        part.write_text(json.dumps(dropped.facts, indent=2) + "\n")
    return paths


def distance_to(
    points: Float[np.ndarray, "N 3"],
) -> Callable[[trimesh.Trimesh], Float[np.ndarray, " V"]]:
    """A function that gives the distance of each vertex of a mesh to the nearest of some points."""
    tree = KDTree(points)
    return lambda mesh: np.asarray(tree.query(np.asarray(mesh.vertices))[0], np.float64)


def painted(
    picture: Picture,
    code: Float[Tensor, " L"],
    dropped: DroppedScan | None,
    colours: Colours,
) -> Picture:
    """A picture coloured by a scan that was dropped, or with the reason why it has no colours.

    Args:
        picture: the shape.
        code: of the shape.
        dropped: the scan; None if there is none.
        colours: "uncertainty" or "distance to the scan".
    """
    if dropped is None:
        return replace(picture, legend=f"{colours}: open a scan file first")
    mesh = picture.mesh
    worst = WORST * float(np.ptp(mesh.vertices, axis=0).max())
    in_metres = dropped.facts["off_unit"] == "mm"
    per_unit, unit = (1000.0, "mm") if in_metres else (100.0, "% of the radius")
    if colours == "distance to the scan":
        shown, legend = blended(dropped.distance(mesh), worst, per_unit, unit)
        return replace(picture, colours=shown, legend=f"distance to the scan: {legend}")
    if dropped.deviation is None or not torch.equal(code, dropped.fitted.codes[0]):
        return replace(picture, legend="uncertainty: known for the code of the scan alone")
    # The deviation belongs to the vertices of the mesh that was made with the fit.
    shown, legend = blended(dropped.deviation * dropped.shrink, worst, per_unit, unit)
    return replace(picture, mesh=dropped.mesh, colours=shown, legend=f"uncertainty: {legend}")
