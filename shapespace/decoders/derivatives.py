"""Second derivatives of fields: the Hessian, the Laplacian, products H v; and f / |grad f|.

All are differentiable in weights, codes and points. A :class:`~shapespace.decoders.base.Decoder`
uses its own closed form where it has one; any other field is differentiated automatically.

Letters: B scans, N points a scan, D dimension, L code length. H is the Hessian of f in x.
"""

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import (
    Decoder,
    Field,
    hessian_by_autograd,
    hessian_vector_by_autograd,
)
from shapespace.errors import InputError

NUM_LOOKED_AT = 4096
"""Points at which the zero set of a shape is looked for."""
NUM_NEAREST = 64
"""Points of smallest |f| that are kept."""
REACHES = (0.05, 0.01)
"""Standard deviation of the points drawn around these, in extents."""
NUM_MEASURED = 4
"""Training shapes at which the slope of a field is measured that is no distance."""
LEAST_OF_LOGIT = 0.1
"""Least slope of a logit that counts, as a share of its slope at the surface."""


def value_gradient_hessian(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
    """f, grad f and H of any field.

    Args:
        field: a decoder, or any function with the signature of
            :data:`~shapespace.decoders.base.Field`.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    if isinstance(field, Decoder):
        return field.value_gradient_hessian(points, latent)
    return hessian_by_autograd(field, points, latent)


def laplacian(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> Float[Tensor, "B N"]:
    """The trace of H, the sum of the second derivatives along the axes.

    Args:
        field: a decoder, or any function with its signature.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    if isinstance(field, Decoder):
        return field.laplacian(points, latent)
    return hessian_by_autograd(field, points, latent)[2].diagonal(dim1=-2, dim2=-1).sum(-1)


def hessian_vector(
    field: Field,
    points: Float[Tensor, "B N D"],
    latent: Float[Tensor, "B L"],
    vector: Float[Tensor, "B N D"],
) -> Float[Tensor, "B N D"]:
    """H v at each point; 0 for v = grad f where f is a distance.

    Args:
        field: a decoder, or any function with its signature.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
        vector: v at each point; the result is differentiable in it too.
    """
    if isinstance(field, Decoder):
        return field.hessian_vector(points, latent, vector)
    return hessian_vector_by_autograd(field, points, latent, vector)


def check_second_derivatives(decoder: Decoder) -> None:
    """Raise InputError for a decoder without second derivatives, such as one of ReLUs.

    A decoder may say so itself; else second derivatives that vanish tell.
    """
    generator = torch.Generator().manual_seed(0)
    like = next(decoder.parameters(), torch.zeros(()))
    points = torch.rand(1, 64, decoder.dimension, generator=generator).to(like) * 2 - 1
    code = 0.1 * torch.randn(1, decoder.latent_size, generator=generator).to(like)
    _, _, hessian = value_gradient_hessian(decoder, points, code)
    if not (decoder.twice_differentiable and hessian.any()):
        raise InputError(
            f"model.decoder={type(decoder).__name__}: its second derivatives are 0 or of no use, "
            "as those of ReLUs are, and the objective reads them: give a smooth decoder, such as "
            "one of softplus or sines"
        )


def bytes_of_second_derivatives(decoder: Decoder) -> int:
    """About how many bytes a step with second derivatives keeps for each point.

    Autograd keeps the pass of f, and one like it for each coordinate.
    """
    return (1 + decoder.dimension) * Decoder.bytes_per_point(decoder)


def bytes_of_step(decoder: Decoder, needs: Collection[str]) -> int:
    """About how many bytes a training step keeps for each point until its backward pass.

    Args:
        decoder: f(x; z).
        needs: of the objective; "second_derivatives" counts.
    """
    if "second_derivatives" in needs:
        return bytes_of_second_derivatives(decoder)
    return decoder.bytes_per_point()


class FirstOrderDistance(Decoder):
    """f / |grad f|: the distance to the zero set of any field, to first order.

    Where f is flat, |grad f| counts as at least ``least``: the result is then too small, and says
    no more than that the surface is far.

    Args:
        inner: the field, of any slope; positive outside.
        slope: the usual |grad f| at its zero set (:func:`slope_at_surface`).
        least: the least |grad f| that counts.
    """

    def __init__(self, inner: Decoder, slope: float, least: float) -> None:
        super().__init__()
        self.inner = inner
        self.dimension = inner.dimension
        self.latent_size = inner.latent_size
        self.slope = slope
        self.least = least

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f / |grad f| at each point."""
        sdf, gradient = self.inner.value_and_gradient(points, latent)
        return sdf / self._steepness(gradient)

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f / |grad f| and its exact gradient, g / s - f H g / s^3 with s = |g|.

        Args:
            points: of each scan.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        sdf, gradient = self.inner.value_and_gradient(points, latent)
        steepness = self._steepness(gradient)
        distance = sdf / steepness
        bend = self.inner.hessian_vector(points, latent, gradient.detach())
        # Where s is held at its least value it does not change.
        changes = torch.linalg.vector_norm(gradient, dim=-1) >= self.least
        factor = torch.where(changes, distance / steepness.square(), 0.0)
        slope = gradient / steepness[..., None] - factor[..., None] * bend
        return distance[:, :value_until], slope[:, gradient_from:]

    @torch.no_grad()
    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
        """f, grad f and df/dz, all divided by |grad f|: the derivatives are exact where f is 0."""
        sdf, gradient, code = self.inner.jacobian(points, latent)
        steepness = self._steepness(gradient)
        return sdf / steepness, gradient / steepness[..., None], code / steepness[..., None]

    def _steepness(self, gradient: Float[Tensor, "B N D"]) -> Float[Tensor, "B N"]:
        """|grad f|, or ``least`` where it is less."""
        return torch.linalg.vector_norm(gradient, dim=-1).clamp(min=self.least)


def as_distance(
    decoder: Decoder, kind: str, latent: Float[Tensor, "S L"], extent: float
) -> Decoder:
    """The field as a distance: the decoder itself, or f / |grad f| where f is no distance.

    Args:
        decoder: f(x; z).
        kind: of the field, one of :data:`~shapespace.objectives.base.FieldKind`.
        latent: codes of training shapes, of which the first few are looked at.
        extent: half side of the box in which the field was trained.
    """
    if kind == "distance":
        return decoder
    slope = slope_at_surface(decoder, latent[:NUM_MEASURED], extent)
    # A logit may be less steep at a distance, and f / |grad f| then right; a clamped field is
    # flat where the clamp holds, and f / slope at least no overestimate.
    least = slope * (LEAST_OF_LOGIT if kind == "logit" else 1.0)
    return FirstOrderDistance(decoder, slope, least).eval()


@torch.no_grad()
def slope_at_surface(
    decoder: Decoder, latent: Float[Tensor, "S L"], extent: float, seed: int = 0
) -> float:
    """The median |grad f| near the zero set of some shapes; 1 if that is 0.

    Points are drawn in the box, and twice again around those where |f| is smallest.

    Args:
        decoder: f(x; z).
        latent: codes of the shapes.
        extent: half side of the box.
        seed: of the points.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (len(latent), NUM_LOOKED_AT, decoder.dimension)
    points = (torch.rand(size, generator=generator).to(latent) * 2 - 1) * extent
    for reach in (*REACHES, 0.0):
        nearest = decoder(points, latent).abs().argsort(1)[:, :NUM_NEAREST]
        points = points.take_along_dim(nearest[..., None], 1)
        if reach:
            around = points.repeat(1, NUM_LOOKED_AT // NUM_NEAREST, 1)
            noise = torch.randn(around.shape, generator=generator).to(latent)
            points = torch.cat([points, around + reach * extent * noise], 1)
    _, gradient = decoder.value_and_gradient(points, latent)
    return float(torch.linalg.vector_norm(gradient, dim=-1).median()) or 1.0
