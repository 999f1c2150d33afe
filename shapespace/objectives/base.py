"""Objectives: named terms, one number a scan each, and their weights.

A term is a mean over the points of one scan, never over the batch: the loss of a batch is the mean
of its scans, and codes fitted together do not feel each other.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.scan import Samples


class Objective:
    """Base of all objectives. ``weights`` name the terms that :meth:`terms` returns."""

    weights: Mapping[str, float]

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The unweighted terms of each scan, under the names of ``weights``."""
        raise NotImplementedError

    def total(self, terms: Mapping[str, Float[Tensor, " B"]]) -> Float[Tensor, " B"]:
        """The weighted sum of each scan."""
        first, *others = (self.weights[name] * value for name, value in terms.items())
        return sum(others, start=first)

    def for_unseen(self) -> "Objective":
        """The objective by which the code of an unseen scan is found: this one, unless published
        practice differs.
        """
        return self

    def for_refinement(self) -> "Objective":
        """The objective by which a decoder is refined near a scan, of which half may be missing:
        this one, if none of its terms speaks of places without points.
        """
        return self
