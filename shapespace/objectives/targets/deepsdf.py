"""The objective of DeepSDF: clamped signed distances (Park et al. 2019).

Letters: B scans, L code length.
"""

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import CodeTerm, code_term, targets_of, weights_of, without
from shapespace.scan import Samples


class DeepSDF(Objective):
    """mean |clamp(f) - clamp(s)| + latent |z|, s the signed distance at targets around the scan.

    The weight of the first term is 1. Constants are those of the authors' code (DeepSDF
    @48c19b8): a clamp of 0.1 for shapes in the unit ball, 1e-4 |z| that rises over the first 100
    epochs, and 1e-4 mean z_k^2 in the fit of an unseen shape. Their samples of a step are half
    inside and half outside, which is ``both_sides``.

    Args:
        clamp: distances beyond it count as this one, in the store's unit.
        latent: weight of the code term, such as ``linear 0 1e-4 from 0 to 100 epochs``.
        latent_term: "norm" in training, "mean_square" in the fit of an unseen shape.
        both_sides: half of the targets of a step are inside, half outside. By default they are as
            the store has them.
    """

    needs = frozenset({"signed"})
    kind = "clamped"

    def __init__(
        self,
        clamp: float = 0.1,
        latent: float | str = 1e-4,
        latent_term: CodeTerm = "norm",
        both_sides: bool = False,
    ) -> None:
        super().__init__()
        positive(clamp=clamp)
        self.clamp = clamp
        self.latent_term: CodeTerm = latent_term
        self.both_sides = both_sides
        if both_sides:
            self.needs = frozenset({"signed", "both_sides"})
        self.weights = weights_of(distance=1.0, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``distance`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self)
        found = field(targets.points, latent).clamp(-self.clamp, self.clamp)
        wanted = targets.distance.clamp(-self.clamp, self.clamp)
        return {
            "distance": (found - wanted).abs().mean(-1),
            "latent": code_term(latent, self.latent_term),
        }

    def for_unseen(self) -> "DeepSDF":
        """The same with the code term of the authors' ``reconstruct.py``."""
        return DeepSDF(self.clamp, self.weight("latent"), "mean_square", self.both_sides)

    def for_refinement(self) -> "DeepSDF":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")
