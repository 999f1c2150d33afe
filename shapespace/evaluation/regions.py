"""Errors to a true surface, split into what the scan has seen, what not, and labelled parts.

A place of the true surface is seen if it lies near the scan. A sample of the measured surface
belongs to the place of the true surface that is nearest to it.

Letters: K points, J samples of the true surface, V its vertices, F its triangles.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from shapespace.data.formats.readers import RawScan
from shapespace.errors import InputError, one_line
from shapespace.evaluation.definitions import DEFINITIONS, LABELLED
from shapespace.evaluation.sampled_surface import SampledSurface, nearest_samples
from shapespace.geometry.proximity import point_to_mesh

Masks = dict[str, Bool[np.ndarray, " K"]]
"""Name of a region -> which of some places belong to it."""
SEEN, UNSEEN = "seen", "unseen"
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


@dataclass(frozen=True)
class Regions:
    """The regions of one true surface, all in one frame and unit.

    Args:
        target: the true surface, sampled from its mesh.
        scan: the whole scan: its mesh where it has triangles, else all of its points.
        within: largest distance from the scan to a place that is seen.
        labels: name of a part -> the triangles of the true surface that belong to it.
    """

    target: SampledSurface
    scan: SampledSurface
    within: float
    labels: Mapping[str, Bool[np.ndarray, " F"]] = field(default_factory=dict)

    def masks(self, places: Float[np.ndarray, "K 3"], triangles: Int[np.ndarray, " K"]) -> Masks:
        """The region of places of the true surface that lie in these triangles of it."""
        mesh = self.scan.mesh
        if mesh is not None and len(mesh.faces):
            off = point_to_mesh(places, mesh)
        else:
            off = nearest_samples(places, self.scan)[0]
        seen = off <= self.within
        parts = {name: mask[triangles] for name, mask in self.labels.items()}
        return {SEEN: seen, UNSEEN: ~seen, **parts}

    @cached_property
    def of_target(self) -> Masks:
        """The region of each sample of the true surface."""
        triangles = self.target.triangles
        assert triangles is not None, "regions are those of a mesh"
        return self.masks(self.target.points, triangles)

    def columns(
        self,
        to: Float[np.ndarray, " K"],
        back: Float[np.ndarray, " J"],
        places: Float[np.ndarray, "K 3"],
        triangles: Int[np.ndarray, " K"],
    ) -> dict[str, float]:
        """The error in each region that has a sample of the true surface, and the share seen.

        Args:
            to: exact distance of samples of the measured surface to the true one.
            back: exact distance of the samples of the true surface to the measured one.
            places: the nearest place of each sample of the measured surface.
            triangles: the triangle of the true surface in which that place lies.
        """
        mine = self.masks(places, triangles)
        found: dict[str, float] = {}
        for name, there in self.of_target.items():
            if not there.any():
                continue
            here = mine[name]
            mean = float(back[there].mean())
            # A part of which nothing was reconstructed is far from the rest: that is its error.
            both = 0.5 * (float(to[here].mean()) + mean) if here.any() else mean
            found[LABELLED + name] = both
        return {**found, "seen_share": float(self.of_target[SEEN].mean())}


def read_labels(path: str | Path) -> dict[str, Bool[np.ndarray, " V"]]:
    """Read labelled parts of true surfaces from an NPZ: name of a part -> mask over the vertices.

    Raises:
        InputError: the file cannot be read, a name cannot end the name of a column, or an array is
            no mask over as many vertices as the others.
    """
    where = f"labels={one_line(path)}"
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: np.asarray(file[name]) for name in file.files}
    # A .npy file gives an array, which has none of this.
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{where}: cannot be read ({one_line(error, 100)}); give an NPZ of boolean masks over "
            "the vertices"
        ) from error
    if not found:
        raise InputError(f"{where}: holds no mask; give at least one")
    for name, mask in found.items():
        if not _NAME.fullmatch(name) or LABELLED + name in DEFINITIONS:
            raise InputError(
                f"{where}: {one_line(name, 40)!r} cannot name a part; use letters, digits and _, "
                f"and neither {SEEN} nor {UNSEEN}"
            )
        if mask.dtype != bool or mask.ndim != 1:
            raise InputError(
                f"{where}: {name} is {mask.dtype} of shape {mask.shape}; give a boolean for each "
                "vertex of the true surfaces"
            )
    sizes = {name: len(mask) for name, mask in found.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"{where}: masks of {' and '.join(map(str, sorted(set(sizes.values()))))} vertices; "
            "give all masks over the vertices of one topology"
        )
    return found


def misfit(labels: Mapping[str, Bool[np.ndarray, " V"]], truth: RawScan) -> str:
    """Why masks cannot label a true surface; "" if they can."""
    size = len(next(iter(labels.values()), ()))
    if not labels:
        return ""
    if truth.faces is None:
        return "the true surface has no triangles"
    if size != len(truth.vertices):
        return f"the masks have {size} vertices, the true surface {len(truth.vertices)}"
    return ""


def labelled_triangles(
    labels: Mapping[str, Bool[np.ndarray, " V"]], faces: Int[np.ndarray, "F 3"]
) -> dict[str, Bool[np.ndarray, " F"]]:
    """The triangles whose corners all have a label, for each label."""
    return {name: np.all(mask[faces], axis=1) for name, mask in labels.items()}
