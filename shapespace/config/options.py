"""Options that a command and the library share: each stands here once, with its help and default.

A command takes such a dataclass and shows its fields as flat options (``config/arguments.py``).
This module imports no heavy library, so that ``--help`` is instant.
"""

from dataclasses import dataclass
from typing import Literal

from shapespace.errors import at_least, positive

Unit = Literal["m", "cm", "mm", "in"]
"""Length unit of scan files."""
AnyUnit = Literal["auto", "m", "cm", "mm", "in"]
"""Length unit of scan files; ``auto`` takes the unit in which the scan fits the space."""
Normals = Literal["estimate", "source", "none"]
"""Normals of the file, normals estimated for clouds that have none, or no normals."""
Axis = Literal["x", "y", "z"]
Freedom = Literal["none", "shift", "rigid", "similarity"]
"""Part of the pose of a scan that a fit finds beside the code."""
Method = Literal["second-order", "adam-published"]


@dataclass(frozen=True)
class FitOptions:
    """How the codes of unseen scans are found.

    Args:
        method: second-order, or adam-published, the optimisation of the IGR paper, to compare with.
        pose: what of the pose second-order finds beside the code: none, shift, rigid (any turn
            about the upright axis, tilts to some 20 degrees) or similarity.
        up: upright axis of the scans, for rigid and similarity.
        num_points: points of each scan that the fit sees; second-order takes at most 8000.
        steps: steps of adam-published; its rate drops to a tenth half way.
        seed: seed of sampling, and of the first code of adam-published.
        even: second-order weighs each point by the surface that it stands for. This suits clouds
            that are much denser in places and have few outliers.
        refine: steps, such as 200, in which the decoder moves too, near each scan. This adds detail
            that the space cannot draw, and takes a minute a scan on one core. Code and uncertainty
            are those before.
    """

    method: Method = "second-order"
    pose: Freedom = "shift"
    up: Axis = "y"
    num_points: int = 16384
    steps: int = 800
    seed: int = 0
    even: bool = False
    refine: int = 0

    def __post_init__(self) -> None:
        at_least(1, num_points=self.num_points, steps=self.steps)
        at_least(0, seed=self.seed, refine=self.refine)


@dataclass(frozen=True)
class MeshOptions:
    """How scans are read and reconstructions are meshed.

    Args:
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan files, in place of resolution.
        batch: scans that are fitted together.
        unit: length unit of the scan files. auto takes the unit in which a scan fits the space, and
            says so. A store has its own unit.
    """

    resolution: int = 256
    cell: float | None = None
    batch: int = 8
    unit: AnyUnit = "auto"

    def __post_init__(self) -> None:
        at_least(2, resolution=self.resolution)
        at_least(1, batch=self.batch)
        if self.cell is not None:
            positive(cell=self.cell)


@dataclass(frozen=True)
class SurfaceOptions:
    """How one scan is reconstructed by itself.

    Args:
        config: recipe in place of the built-in one: a file, or a name such as surface.
        steps: optimisation steps.
        num_points: points of the scan in each step; all points if the scan has fewer.
        resolution: grid nodes along the longest side of the mesh.
        run: folder that keeps checkpoint and metrics, from which a stopped call goes on. By default
            none is kept.
        seed: seed of sampling and of the weights.
        normals: source keeps the normals of the file; estimate also estimates normals for a cloud
            that has none; none uses no normals.
    """

    config: str = "surface"
    steps: int = 2000
    num_points: int = 1024
    resolution: int = 256
    run: str | None = None
    seed: int = 0
    normals: Normals = "estimate"

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, num_points=self.num_points)
        at_least(2, resolution=self.resolution)


@dataclass(frozen=True)
class EvaluationOptions:
    """How reconstructions are measured.

    Args:
        num_samples: points drawn of each surface.
        baselines: measure also what any method must beat: the training shape nearest to the scan,
            and the mean shape, in the pose of the reconstruction.
        group_end: text that ends the person in the name of a scan. The bootstrap draws people. If
            empty, it draws scans.
    """

    num_samples: int = 100_000
    baselines: bool = False
    group_end: str = "_"

    def __post_init__(self) -> None:
        at_least(1, num_samples=self.num_samples)
