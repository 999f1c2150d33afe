"""Where the search for a code begins: the mean of the training codes and those that fit best as
they are; where a scan may be turned, at some angles about the upright axis.

Letters: B scans, N points, D dimension, L code length, S training scans, T starts, A angles.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Pose, cross
from shapespace.fitting.residuals import State

FIRST_POINTS, LAST_POINTS = 64, 512
"""Of a scan, in the first look at all training codes and in the second at the best of them."""
KEPT = 64
"""Training codes, with their angles, that are looked at twice."""
TILT = 14.0
"""Degrees: what lies between 0 and 20 is then 7 from a start."""
MOST_CODES, MOST_PAIRS = 128, 4096
"""Training codes that are looked at for every angle, and for one; of more, some, evenly spaced."""
POINTS_AT_ONCE = 1 << 17


def starts(
    decoder: Decoder,
    points: Float[Tensor, "B N D"],
    codes: Float[Tensor, "S L"],
    mean: Float[Tensor, " L"],
    num: int,
    turns: Float[Tensor, "A D D"] | None = None,
) -> State:
    """``num`` starts of each scan, all of the first scan first: the mean, then training codes.

    With ``turns``, the mean stands at the angle of the best code, and neither code nor angle is
    taken twice where others are left.
    """
    if turns is None:
        turns = torch.eye(points.shape[-1]).to(points)[None]
    every = max(1, -(-len(codes) // (MOST_CODES if len(turns) > 1 else MOST_PAIRS)))
    chosen = [_starts_of_one(decoder, scan, codes[::every], mean, num, turns) for scan in points]
    found, rotations = (torch.cat(part) for part in zip(*chosen, strict=True))
    pose = Pose.identity(len(found), points)
    return State(found, pose._replace(rotation=rotations))


def _starts_of_one(
    decoder: Decoder,
    scan: Float[Tensor, "N D"],
    codes: Float[Tensor, "S L"],
    mean: Float[Tensor, " L"],
    num: int,
    turns: Float[Tensor, "A D D"],
) -> tuple[Float[Tensor, "T L"], Float[Tensor, "T D D"]]:
    pairs = nearest_starts(decoder, scan, codes, turns)
    angle = pairs[:1, 0] if len(pairs) else pairs.new_zeros(1)
    pairs = pairs[_varied(pairs, len(turns) > 1)[: num - 1]]
    angles = torch.cat([angle, pairs[:, 0]])
    return torch.cat([mean[None], codes[pairs[:, 1]]]), turns[angles]


def nearest_starts(
    decoder: Decoder,
    scan: Float[Tensor, "N D"],
    codes: Float[Tensor, "S L"],
    turns: Float[Tensor, "A D D"],
) -> Int[Tensor, "K 2"]:
    """(angle, code) whose field is smallest at the points of the scan, best first.

    Small is the median of |f|, which holes and pieces of floor do not change.
    """
    device = codes.device
    angles, rows = torch.arange(len(turns), device=device), torch.arange(len(codes), device=device)
    pairs = torch.cartesian_prod(angles, rows)
    for count in (FIRST_POINTS, LAST_POINTS):
        some = scan[:: max(1, len(scan) // count)][:count]
        misfit = codes.new_empty(len(pairs))
        for angle in pairs[:, 0].unique():
            here = pairs[:, 0] == angle
            misfit[here] = _misfit(decoder, some @ turns[angle].mT, codes[pairs[here, 1]])
        pairs = pairs[misfit.argsort()[:KEPT]]
    return pairs


def _varied(pairs: Int[Tensor, "K 2"], turned: bool) -> Int[Tensor, " K"]:
    """The order in which pairs are tried: those of an angle or a code that was had come later."""
    had: list[set[int]] = [set(), set()]
    first, later = [], []
    for row, pair in enumerate(pairs.tolist()):
        again = turned and any(one in seen for one, seen in zip(pair, had, strict=True))
        (later if again else first).append(row)
        for one, seen in zip(pair, had, strict=True):
            seen.add(one)
    return torch.tensor(first + later, dtype=torch.long, device=pairs.device)


def turns_about(axis: int, num: int, like: Float[Tensor, "*shape D"]) -> Float[Tensor, "A D D"]:
    """``num`` rotations, evenly spaced, about an axis (0, 1, 2; in 2-D about the only one).

    In 3-D each upright and tilted by TILT about both level axes, either way: five times as many.
    """
    angles = torch.arange(num) * (2 * math.pi / num)
    if like.shape[-1] == 2:
        return torch.linalg.matrix_exp(cross(angles[:, None])).to(like)
    upright = torch.eye(3)[axis]
    yaws = torch.linalg.matrix_exp(cross(angles[:, None] * upright))
    level = torch.eye(3)[[k for k in range(3) if k != axis]] * math.radians(TILT)
    tilts = torch.linalg.matrix_exp(cross(torch.cat([torch.zeros(1, 3), level, -level])))
    return (tilts[:, None] @ yaws).flatten(0, 1).to(like)


@torch.no_grad()
def _misfit(
    decoder: Decoder, points: Float[Tensor, "N D"], codes: Float[Tensor, "S L"]
) -> Float[Tensor, " S"]:
    """Median |f| of one scan under each code; 0 of a scan without points."""
    if not len(points):
        return codes.new_zeros(len(codes))
    size = max(1, POINTS_AT_ONCE // len(points))
    parts = [decoder(points.expand(len(p), -1, -1), p).abs() for p in codes.split(size)]
    return torch.cat([part.median(1).values for part in parts])
