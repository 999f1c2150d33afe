"""The starts of the search for a code: the mean training code and the training codes that fit best.

Where a scan may be turned, each code is also looked at in several turns about the upright axis.

Letters: B scans, N points, D dimension, L code length, S training scans, C mean codes, T starts, A
turns, K pairs of a turn and a code.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Pose, cross
from shapespace.fitting.residuals import State

FIRST_POINTS = 64
"""Points of a scan in the first look, at all training codes in all turns."""
LAST_POINTS = 512
"""Points of a scan in the second look, at the best pairs of the first."""
KEPT = 64
"""Pairs of a turn and a training code that get the second look."""
TILT = 14.0
"""Degrees of the tilted turns. A tilt between 0 and 20 degrees is then at most 7 from a start."""
MOST_PAIRS = 4096
"""Training codes that are looked at where nothing is turned; of more, evenly spaced ones."""
MOST_CODES = 128
"""Training codes that are looked at in every turn; of more, evenly spaced ones."""
POINTS_AT_ONCE = 1 << 17


def starts(
    decoder: Decoder,
    points: Float[Tensor, "B N D"],
    codes: Float[Tensor, "S L"],
    mean: Float[Tensor, "*C L"],
    num: int,
    turns: Float[Tensor, "A D D"] | None = None,
) -> State:
    """At most ``num`` starts of each scan: the mean code, then the best training codes.

    Several mean codes, as a mixture has, are starts all, so that there are that many more.

    The starts of the first scan come first. With ``turns`` the mean code stands in the turn of the
    best code. The other starts take each code and each turn once, as long as there are others.

    Args:
        decoder: f(x; z).
        points: of each scan.
        codes: of the training scans.
        mean: the mean code, or several.
        num: starts of each scan; fewer if there are fewer codes.
        turns: rotations that are looked at; None for the identity alone.
    """
    if turns is None:
        turns = torch.eye(points.shape[-1]).to(points)[None]
    every = max(1, -(-len(codes) // (MOST_CODES if len(turns) > 1 else MOST_PAIRS)))
    looked_at = codes[::every]
    means = mean[None] if mean.dim() == 1 else mean
    chosen = [
        _starts_of_one(decoder, scan, codes=looked_at, means=means, num=num, turns=turns)
        for scan in points
    ]
    found = torch.cat([code for code, _ in chosen])
    rotations = torch.cat([rotation for _, rotation in chosen])
    pose = Pose.identity(len(found), points)
    return State(found, pose._replace(rotation=rotations))


def _starts_of_one(
    decoder: Decoder,
    scan: Float[Tensor, "N D"],
    *,
    codes: Float[Tensor, "S L"],
    means: Float[Tensor, "C L"],
    num: int,
    turns: Float[Tensor, "A D D"],
) -> tuple[Float[Tensor, "T L"], Float[Tensor, "T D D"]]:
    """Codes and rotations of the starts of one scan."""
    pairs = nearest_starts(decoder, scan, codes=codes, turns=turns)
    best_turn = pairs[:1, 0] if len(pairs) else pairs.new_zeros(1)
    pairs = pairs[_varied(pairs, len(turns) > 1)[: num - 1]]
    turn = torch.cat([best_turn.expand(len(means)), pairs[:, 0]])
    return torch.cat([means, codes[pairs[:, 1]]]), turns[turn]


def nearest_starts(
    decoder: Decoder,
    scan: Float[Tensor, "N D"],
    *,
    codes: Float[Tensor, "S L"],
    turns: Float[Tensor, "A D D"],
) -> Int[Tensor, "K 2"]:
    """The pairs (turn, code) whose field is smallest at the points of a scan, best first.

    The misfit is the median of |f|, which holes and pieces of floor do not change.

    Args:
        decoder: f(x; z).
        scan: the points of one scan.
        codes: of the training scans.
        turns: rotations of the scan.
    """
    device = codes.device
    all_turns = torch.arange(len(turns), device=device)
    all_codes = torch.arange(len(codes), device=device)
    pairs = torch.cartesian_prod(all_turns, all_codes)
    # Few points show that most pairs are wrong; only the best are worth more points.
    for count in (FIRST_POINTS, LAST_POINTS):
        some = scan[:: max(1, len(scan) // count)][:count]
        misfit = codes.new_empty(len(pairs))
        for turn in pairs[:, 0].unique():
            here = pairs[:, 0] == turn
            misfit[here] = _misfit(decoder, some @ turns[turn].mT, codes[pairs[here, 1]])
        pairs = pairs[misfit.argsort()[:KEPT]]
    return pairs


def _varied(pairs: Int[Tensor, "K 2"], turned: bool) -> Int[Tensor, " K"]:
    """The order in which pairs are tried: a pair whose turn or code was tried comes later.

    Neighbouring pairs lead to the same minimum; different ones are worth more.
    """
    tried: list[set[int]] = [set(), set()]
    first = []
    later = []
    for row, pair in enumerate(pairs.tolist()):
        again = turned and any(one in seen for one, seen in zip(pair, tried, strict=True))
        (later if again else first).append(row)
        for one, seen in zip(pair, tried, strict=True):
            seen.add(one)
    return torch.tensor(first + later, dtype=torch.long, device=pairs.device)


def turns_about(axis: int, num: int, like: Float[Tensor, "*shape D"]) -> Float[Tensor, "A D D"]:
    """Evenly spaced rotations about an axis.

    In 3-D each rotation stands upright and tilted by ``TILT`` both ways about both level axes: 5
    ``num`` rotations in all. In 2-D there are ``num``.

    Args:
        axis: the upright axis, 0, 1 or 2; ignored in 2-D.
        num: rotations about the axis.
        like: a tensor of the wanted dimension, type and device.
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
    """The median of |f| at one scan's points under each code; 0 for a scan without points."""
    if not len(points):
        return codes.new_zeros(len(codes))
    size = max(1, POINTS_AT_ONCE // len(points))
    parts = [decoder(points.expand(len(p), -1, -1), p).abs() for p in codes.split(size)]
    return torch.cat([part.median(1).values for part in parts])
