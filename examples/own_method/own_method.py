"""A method of your own: an occupancy that is learnt from points beside the surface.

Each surface point is moved along its normal, to a random side. The field is minus the logit of
being inside, positive outside; the loss is the cross-entropy of the sides.

Letters: B scans, N surface points, M = N moved points a scan, D dimension, L code length.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from shapespace.decoders.base import Decoder, Field
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler
from shapespace.scan import Samples, Scan
from shapespace.utils.schedules import weight_of


@dataclass(frozen=True)
class SidedSamples(Samples):
    """Samples that know on which side of the surface each point in space lies.

    Args:
        outside: 1 outside, 0 inside, for each point of ``space``.
    """

    outside: Float[Tensor, "B M"] | None = None


class BesideSurface(Sampler):
    """Surface points moved along their normals by |N(0, offset^2)|, to a random side.

    Args:
        offset: standard deviation, in the store's unit.
        extent: half side of the box in which meshes are looked for.
    """

    def __init__(self, offset: float = 0.1, extent: float = 1.5) -> None:
        self.offset = offset
        self.extent = extent

    @property
    def needs_sigma(self) -> bool:
        """No: the offset is the same for all points."""
        return False

    def __call__(self, scan: Scan, generator: torch.Generator) -> SidedSamples:
        """One moved point for each surface point."""
        points = scan.points
        draw = {"generator": generator, "dtype": points.dtype, "device": points.device}
        signed = self.offset * torch.randn(points.shape[:2], **draw)
        normals = torch.zeros_like(points) if scan.normals is None else scan.normals
        space = points + signed[..., None] * normals
        outside = (signed > 0).to(points.dtype)
        return SidedSamples(points, scan.normals, space, scan.targets, outside)


class Sides(Objective):
    """Cross-entropy of the sides, logits of 0 on the surface, and short codes.

    Args:
        surface: weight of the mean |f| on the surface.
        latent: weight of |z|^2; a schedule rises to it over the first half of the run.
    """

    needs = frozenset({"normals"})
    kind = "logit"

    def __init__(
        self, surface: float = 0.1, latent: float | str = "linear 0 1e-3 from 0 to 0.5"
    ) -> None:
        super().__init__()
        self.weights = {
            "sides": 1.0,
            "surface": surface,
            "latent": weight_of(latent, "latent"),
        }

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The three terms of each scan."""
        assert isinstance(samples, SidedSamples) and samples.outside is not None
        f = field(samples.space, latent)
        sides = F.binary_cross_entropy_with_logits(f, samples.outside, reduction="none")
        return {
            "sides": sides.mean(-1),
            "surface": field(samples.surface, latent).abs().mean(-1),
            "latent": latent.square().sum(-1),
        }


class Blob(Decoder):
    """A ball whose logit a perceptron of [x, z] changes, by nothing to begin with.

    Args:
        latent_size: L.
        dimension: D.
        width: neurons of the two hidden layers.
        steepness: slope of the logit at the start, per unit of the store.
    """

    def __init__(
        self,
        latent_size: int = 8,
        dimension: int = 3,
        width: int = 48,
        steepness: float = 15.0,
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.dimension = dimension
        self.steepness = steepness
        self.change = nn.Sequential(
            nn.Linear(dimension + latent_size, width),
            nn.Softplus(10),
            nn.Linear(width, width),
            nn.Softplus(10),
            nn.Linear(width, 1),
        )
        nn.init.normal_(self.change[-1].weight, std=1e-3)
        nn.init.zeros_(self.change[-1].bias)

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Minus the logit of being inside."""
        codes = latent[:, None].expand(-1, points.shape[1], -1)
        change = self.change(torch.cat([points, codes], -1)).squeeze(-1)
        return self.steepness * (points.norm(dim=-1) - 1 + change)
