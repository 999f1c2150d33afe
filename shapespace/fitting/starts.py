"""Where the search for a code begins: the mean of the training codes and those that fit best as
they are.

Letters: B scans, N points, D dimension, L code length, S training scans, T starts.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.decoders import Decoder

FIRST_POINTS, LAST_POINTS = 64, 512
"""Of a scan, in the first look at all training codes and in the second at the best of them."""
KEPT = 64
"""Training codes that are looked at twice."""
POINTS_AT_ONCE = 1 << 17


def starts(
    decoder: Decoder,
    points: Float[Tensor, "B N D"],
    codes: Float[Tensor, "S L"],
    mean: Float[Tensor, " L"],
    num: int,
) -> Float[Tensor, "B T L"]:
    """The mean code, then the ``num - 1`` nearest training codes, or all if they are fewer."""
    nearest = nearest_codes(decoder, points, codes, min(num - 1, len(codes)))
    first = mean.expand(len(points), 1, -1)
    return torch.cat([first, codes[nearest]], 1)


def nearest_codes(
    decoder: Decoder, points: Float[Tensor, "B N D"], codes: Float[Tensor, "S L"], num: int
) -> Int[Tensor, "B T"]:
    """Rows of the ``num`` codes whose field is smallest at the points of each scan, best first.

    Small is the median of |f|, which holes and pieces of floor do not change.
    """
    found = []
    for scan in points:
        rows = torch.arange(len(codes), device=codes.device)
        for count, kept in ((FIRST_POINTS, KEPT), (LAST_POINTS, num)):
            some = scan[:: max(1, len(scan) // count)][:count]
            rows = rows[_misfit(decoder, some, codes[rows]).argsort()[: max(kept, num)]]
        found.append(rows[:num])
    return torch.stack(found) if found else codes.new_zeros(0, num, dtype=torch.long)


@torch.no_grad()
def _misfit(
    decoder: Decoder, points: Float[Tensor, "N D"], codes: Float[Tensor, "S L"]
) -> Float[Tensor, " S"]:
    """Median |f| of one scan under each code; 0 of a scan without points."""
    if not len(points):
        return codes.new_zeros(len(codes))
    size = max(1, POINTS_AT_ONCE // max(len(points), 1))
    parts = codes.split(size)
    return torch.cat(
        [decoder(points.expand(len(p), -1, -1), p).abs().median(1).values for p in parts]
    )
