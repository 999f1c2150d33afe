"""Held-out scans, and how far they are from the surface that a space in training gives them.

Letters: N points of a scan, K places of the true surface, D dimension, S training scans, L code
length.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.codes import LatentCodes
from shapespace.data.store.store import ScanStore
from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import as_distance
from shapespace.encoders.codes import EncodedCodes
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.fitting.search import Search, Stage
from shapespace.fitting.terms import as_batch, usable_points
from shapespace.scan import Scan
from shapespace.surface.projection import project
from shapespace.surface.query import field_values

SEEN = 0.005
"""A place of the true surface is seen within 5 mm of the scan, as in ``shapespace evaluate``."""
SEEN_SHARE = 0.005
"""The same without a unit: a share of the diagonal of the true surface."""
NEWTON_STEPS = 8
"""Steps towards the zero set. A step that does not come nearer is not taken."""
SEARCH = Search(
    starts=4,
    stages=(
        Stage(points=500, width=16.0, iterations=8, kept=2),
        Stage(points=2000, width=3.0, iterations=12, kept=1),
    ),
)
"""The small budget of a fit: two stages of the usual three, with fewer points and starts."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out scan.

    Args:
        name: of the scan.
        scan: its points, a batch of one.
        unseen: places of its true surface that the scan has not seen, in the frame of the scan;
            None if its true surface is not known.
    """

    name: str
    scan: Scan
    unseen: Float[np.ndarray, "K D"] | None


class Errors(NamedTuple):
    """Mean distances to the zero set, in the store's unit.

    Args:
        seen: of the points of the scan.
        unseen: of the places that the scan has not seen; NaN if there are none, or none is known.
    """

    seen: float
    unseen: float


def check_held_out(
    path: str, names: Sequence[str], store: ScanStore, training: Iterable[str]
) -> None:
    """Raise InputError unless the names of a list are scans of the store that are not trained on.

    Args:
        path: of the list.
        names: that it holds.
        store: of the scans.
        training: names of the scans that are trained on.
    """
    if not names:
        raise InputError(f"{path}: names no scan; give one name a line, as data split writes them")
    for name in names:
        try:
            store.check_name(name)
        except InputError as error:
            raise InputError(f"{path}: {error}; a split has one name a line") from error
    both = sorted(set(names) & set(training))
    if both:
        raise InputError(
            f"{path}: {one_line(both[0])!r} is trained on too, so that it validates nothing: give "
            "data.scans the other list of shapespace data split"
        )


def open_truth(path: str, store: ScanStore, names: Sequence[str]) -> ScanStore:
    """The store of true surfaces.

    Args:
        path: of the store.
        store: of the scans.
        names: of the held-out scans.

    Raises:
        InputError: it holds none of these scans, or is of another dimension or unit.
    """
    truth = ScanStore(path)
    for name in ("dimension", "unit"):
        own, other = getattr(truth, name), getattr(store, name)
        if own != other:
            raise InputError(
                f"{path}: has {name} {own}, the scans of {store.path} have {other}: prepare the "
                "true surfaces as the scans"
            )
    if not any(name in truth for name in names):
        raise InputError(
            f"{path}: holds no scan called {one_line(names[0])!r} or as another held-out scan: "
            "prepare the true surfaces under the names of the scans"
        )
    return truth


def read_held_out(store: ScanStore, name: str, truth: ScanStore | None, num_points: int) -> HeldOut:
    """Read a held-out scan, and what it has not seen of its true surface.

    Args:
        store: of the scan.
        name: of the scan.
        truth: store with points of the true surface under the same name; None if there is none.
        num_points: most points of the scan, and most places, that are used.
    """
    prepared = store.scan(name)
    scan = as_batch([prepared], usable_points(prepared, num_points))
    if truth is None or name not in truth:
        return HeldOut(name, scan, None)
    surface = truth.scan(name)
    source = surface.frame.to_source(surface.points)
    spread = float(np.linalg.norm(np.ptp(source, axis=0))) if len(source) else 0.0
    within = SEEN if store.unit == "m" else SEEN_SHARE * spread
    if len(prepared.points):
        # The whole scan says what was seen, not the points that the fit uses.
        known = KDTree(prepared.frame.to_source(prepared.points))
        source = source[known.query(source)[0] > within]
    return HeldOut(name, scan, prepared.frame.to_store(source[:num_points]))


def spaced(names: Sequence[str], count: int) -> list[str]:
    """``count`` names, evenly spaced, the first and the last included; all of a shorter list."""
    places = np.linspace(0, len(names) - 1, min(count, len(names))).round()
    return [names[int(place)] for place in places]


def frozen_decoder(decoder: Decoder) -> Decoder:
    """A copy in evaluation mode and of precision float32, without gradients and buffers.

    What is done with the copy leaves the decoder as it is.
    """
    decoder.drop_memory()
    frozen = copy.deepcopy(decoder).eval().requires_grad_(False)
    frozen.precision = "float32"
    return frozen


@torch.no_grad()
def errors_of(
    decoder: Decoder, codes: LatentCodes, held_out: HeldOut, *, kind: str, extent: float
) -> Errors:
    """Fit the code of a held-out scan, and measure how far its surface is.

    A point is moved to the zero set by Newton's method. Its distance is the length of the way, and
    |f| where it stopped. No random number is drawn.

    Args:
        decoder: f(x; z), frozen.
        codes: of the training scans.
        held_out: the scan.
        kind: what the values of the field are, :data:`~shapespace.objectives.base.FieldKind`.
        extent: half side of the box in which the field is trained.
    """
    table = codes.table.weight.detach()
    metric = as_distance(decoder, kind, table, extent)
    batch = held_out.scan.to(table.device).to(table.dtype)
    search = SEARCH
    if isinstance(codes, EncodedCodes):
        search = replace(search, guess=torch.cat([codes.encoder(batch.points)[0], table]))
    scan = replace(batch, normals=None) if kind == "unsigned" else batch
    found = search(metric, scan, table)

    def mean_distance(points: Float[Tensor, "1 N D"]) -> float:
        if not points.shape[1]:
            return float("nan")
        return _mean_distance(metric, found.codes[0], points, pose=found.poses, reach=extent)

    unseen = held_out.unseen
    there = batch.points[:, :0] if unseen is None else torch.from_numpy(unseen)[None].to(table)
    return Errors(mean_distance(batch.points), mean_distance(there))


def _mean_distance(
    metric: Decoder,
    code: Float[Tensor, " L"],
    points: Float[Tensor, "1 N D"],
    *,
    pose: Pose,
    reach: float,
) -> float:
    """The mean distance of points to the zero set of a code, in the unit of the scan."""
    start = pose(points)[0].double().cpu().numpy()
    end = project(metric, code, points=start, steps=NEWTON_STEPS, reach=reach)
    left = field_values(metric, code, torch.from_numpy(end).to(code)).abs().double().cpu().numpy()
    away = np.linalg.norm(end - start, axis=1) + left
    return float(away.mean() / float(pose.scale[0]))
