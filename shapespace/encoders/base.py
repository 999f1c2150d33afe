"""The base of all encoders: from the surface points of a scan to its code.

Letters: B scans, N points a scan, D dimension, L code length.
"""

from jaxtyping import Float
from torch import Tensor, nn


class Encoder(nn.Module):
    """Base of all encoders of a scan: its points in any order, and the code of the shape.

    A subclass sets ``dimension`` and ``latent_size`` and writes :meth:`forward`. Each scan must be
    encoded for itself: row b of the result depends on row b of the points alone, so that layers
    such as batch normalisation are none for it. The arguments of ``__init__`` are numbers, strings
    and booleans with annotations.
    """

    dimension: int
    """D, 3 or 2."""
    latent_size: int
    """L, the length of a code."""
    weight: float = 1e-3
    """Weight of :meth:`penalty` in the loss of a variational encoder."""

    def forward(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"] | None]:
        """The mean of each code, and the logarithm of its standard deviation.

        The second is None for a deterministic encoder, whose code is the mean.
        """
        raise NotImplementedError

    def penalty(
        self, mean: Float[Tensor, "B L"], log_deviation: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """mean |mean| + mean |log deviation + 1|, SAL's (Atzmon and Lipman 2020, ``loss.py``)."""
        return mean.abs().mean(-1) + (log_deviation + 1).abs().mean(-1)
