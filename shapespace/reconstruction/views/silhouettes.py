"""Shapes from silhouettes alone: masks and their cameras, no depth.

The code and the pose are found whose least f along the rays agrees with the masks (IDR's mask term,
:mod:`shapespace.fitting.sight.term`). What no silhouette shows, such as a hollow, is what the
training shapes have there. Silhouettes alone give no error bars.

Frame and unit: those of the camera file. Letters: V views, K rays, L code length.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.cameras.images import read_mask
from shapespace.config.options import FitOptions, MeshOptions
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, one_line, printable
from shapespace.fitting.residuals import State
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.sight.lines import Sightlines, sight_batch
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.inputs import common_scale, space_of_meshes, unit_of
from shapespace.reconstruction.record import remark
from shapespace.reconstruction.results import CODE, FACTS, MESH, bytes_of_code
from shapespace.reconstruction.views.fuse import Views
from shapespace.scan import Frame, Scan
from shapespace.space import TrainedSpace
from shapespace.surface.ray_gradients import least_values
from shapespace.utils.files import output_folder, path_inside, replacing

STARTS = 10
"""Codes at which the search starts, evenly chosen from those of the training."""
GOOD_OVERLAP, BAD_OVERLAP = 0.9, 0.7
"""Intersection over union of silhouettes from which a shape is believed, and below which it is
none."""
CHECKED = 4000
"""Rays of all views whose side is looked at."""


@dataclass(frozen=True)
class Silhouette:
    """A shape that was found from its silhouettes.

    Args:
        code: the code.
        path: file of its mesh.
        facts: content of its .json file.
    """

    code: Float[Tensor, " L"]
    path: Path
    facts: dict[str, Any]

    @property
    def failure(self) -> str:
        """Why the shape is none; "" if it may be one."""
        return self.facts["verdict"] if self.facts["verdict"].startswith("FAILED") else ""

    def line(self) -> str:
        """The file of the mesh, and in one line how well it agrees with the masks."""
        facts = self.facts
        said = f"{facts['verdict']}; " if facts["verdict"] else ""
        return printable(
            f"{self.path}: {said}{facts['remark']}; {facts['views']} silhouettes, overlap "
            f"{facts['overlap']:.1%}; {facts['steps']} steps, {facts['seconds']:.1f} s"
        )


def reconstruct_silhouettes(
    checkpoint: str | Path,
    views: Views,
    out: str | Path,
    fit: FitOptions | None = None,
    meshing: MeshOptions | None = None,
) -> Silhouette:
    """Find the shape of some masks, and write NAME.ply, NAME.json and NAME.npy.

    Args:
        checkpoint: file of a trained space.
        views: masks and cameras.
        out: folder for the results.
        fit: how the code is found; method, detail and refine do not apply.
        meshing: unit of the cameras, and how the mesh is made.

    Raises:
        InputError: a mask is empty or of another size than its camera, or the silhouettes meet
            behind a camera or not at all.
    """
    fit, meshing = fit or FitOptions(), meshing or MeshOptions()
    space = space_of_meshes(checkpoint)
    path = path_inside(output_folder(out), views.name, MESH)
    lines = views.lines
    frame = Frame(_middle(space, views, lines), _scale(space, meshing.unit))
    local = lines.in_store(frame).within(np.zeros(3), space.extent)
    if not local.inside.any():
        raise InputError(f"{views}: no ray of the masks meets the box of the space; check --unit")
    found = fit_silhouettes(space, local, fit)
    mesh = space.mesh(
        found.codes[0], frame, resolution=meshing.resolution, cell=meshing.cell, pose=found.poses
    )
    write_mesh(mesh, path)
    overlap = _overlap(space, local, found)
    rotation, shift, scale = (part[0].tolist() for part in found.poses)
    facts = {
        "scan": str(views),
        "scan_sha256": views.digest(),
        "checkpoint": str(space.path),
        "made_by": {"space": space.digest, **asdict(fit), "unit": meshing.unit},
        "remark": remark(mesh),
        "unit": unit_of(space, frame),
        "centre": frame.centre.tolist(),
        "scale": frame.scale,
        "pose": {"rotation": rotation, "shift": shift, "scale": scale},
        "steps": int(found.steps[0]),
        "converged": bool(found.converged[0]),
        "seconds": round(found.seconds, 3),
        "views": len(views.files),
        "overlap": overlap,
        "verdict": _verdict(overlap),
    }
    with replacing(path_inside(Path(out), views.name, CODE)) as part:
        part.write_bytes(bytes_of_code(found.codes[0]))
    with replacing(path_inside(Path(out), views.name, FACTS)) as part:
        part.write_text(json.dumps(facts, indent=2) + "\n")
    return Silhouette(found.codes[0], path, facts)


def fit_silhouettes(space: TrainedSpace, lines: Sightlines, fit: FitOptions) -> FitResult:
    """Code and pose of a shape whose rays are known, without any point.

    Args:
        space: the space.
        lines: rays of the silhouettes, in the store's frame, cut to the box of the space.
        fit: pose, upright axis and seed.
    """
    codes = space.codes.table.weight.detach()
    rows = np.unique(np.linspace(0, len(codes) - 1, STARTS - 1).round().astype(int))
    search = Search(
        freedom=fit.pose,
        up=fit.up,
        guess=codes[torch.from_numpy(rows).to(codes.device)],
        starts=STARTS,
        turned_starts=STARTS,
    )
    size = torch.tensor([space.size or 1.0]).to(codes)
    batch = sight_batch([lines], [np.zeros((0, 3))], codes, search.delta, fit.seed)
    scan = Scan(torch.zeros(1, dtype=torch.long), codes.new_zeros(1, 0, 3), None, None)
    return search(space.metric, scan.to(codes.device), codes, sight=batch, size=size)


def _scale(space: TrainedSpace, unit: str) -> float:
    """Source units in one unit of the space."""
    if space.unit == "radius":
        return common_scale(space) or 1.0
    return PER_METRE["m" if unit == "auto" else unit]


def _middle(space: TrainedSpace, views: Views, lines: Sightlines) -> Float[np.ndarray, " 3"]:
    """Where the rays through the middles of the silhouettes meet, in the frame of the cameras."""
    inside = lines.rows(lines.inside)
    eyes, along, spread = [], [], []
    for view in views.files:
        # Two cameras may stand at one place, as frames of a camera that turns.
        mask = read_mask(view.mask) if view.mask is not None else None
        rays = view.camera.directions()[mask] if mask is not None else inside.directions
        middle = rays.mean(0)
        eyes.append(view.camera.position)
        along.append(middle / np.linalg.norm(middle))
        spread.append(np.median(np.linalg.norm(rays - middle, axis=1)))
    eyes, along = np.array(eyes), np.array(along)
    across = np.eye(3) - along[:, :, None] * along[:, None, :]
    system = across.sum(0)
    if np.linalg.eigvalsh(system)[0] < 1e-3 * len(eyes):
        # One direction of sight tells no distance. The shape is then as large as the training's.
        size = (space.size or 1.0) * _scale(space, "m") * views.per_metre
        return eyes[0] + along[0] * size / max(float(spread[0]), 1e-6)
    middle = np.linalg.solve(system, np.einsum("vij,vj->i", across, eyes))
    depth = np.einsum("vi,vi->v", middle - eyes, along)
    if (depth <= 0).any():
        row = int(depth.argmin())
        raise InputError(
            f"{one_line(views.path)}: the shape would lie behind camera "
            f"{views.files[row].camera.name!r}: the cameras have the other --axes, or their "
            "matrices are not camera-to-world"
        )
    return middle


@torch.no_grad()
def _overlap(space: TrainedSpace, lines: Sightlines, found: FitResult) -> float:
    """Intersection over union of masks and silhouettes of the shape, over all rays."""
    some = lines.rows(np.random.default_rng(0).permutation(len(lines))[:CHECKED])
    state = State(found.codes, found.poses)

    def tensor(part: np.ndarray) -> Tensor:
        return torch.from_numpy(part)[None].to(found.codes)

    scale = state.pose.scale[:, None]
    least = least_values(
        space.metric,
        state.code,
        state.pose(tensor(some.origins)),
        state.pose.turn(tensor(some.directions)),
        near=tensor(some.near) * scale,
        far=tensor(some.far) * scale,
    )
    drawn = (least[0] < 0).cpu().numpy()
    # Rays were drawn more densely inside than beside the masks; both sides count alike.
    both = (drawn & some.inside).sum() / max(some.inside.sum(), 1)
    more = (drawn & ~some.inside).sum() / max(some.inside.sum(), 1)
    return float(both / (1 + more))


def _verdict(overlap: float) -> str:
    """FAILED or DOUBTFUL and the reason; "" for silhouettes that agree."""
    if overlap < BAD_OVERLAP:
        return f"FAILED: the silhouettes overlap by {overlap:.0%}: the space has no such shape"
    if overlap < GOOD_OVERLAP:
        return f"DOUBTFUL: the silhouettes overlap by {overlap:.0%}"
    return ""
