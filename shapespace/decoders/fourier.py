"""A perceptron that sees waves of its coordinates beside them, for one shape in fine detail.

Letters: B scans, N points a scan, D dimension, L code length, E = D + 2 D octaves coordinates seen.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Precision
from shapespace.decoders.mlp import SkipMLP
from shapespace.errors import InputError, at_least, positive


class WaveMLP(Decoder):
    """A :class:`SkipMLP` of x and of sin(w x) / w, cos(w x) / w for w = base, 2 base, 4 base, ...

    Without waves a perceptron learns fine relief last (Tancik et al. 2020, Fourier features). Other
    than there each wave is divided by its frequency: all have slope 1, as x has, so that grad f
    stays calm. The waves' columns begin at 0: the field begins as that of the ``SkipMLP``.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        octaves: number of frequencies, each twice the one before; 0 for none.
        base: the lowest frequency, radians per unit of the store.
        width: as of ``SkipMLP``, and so are the others.
        depth: number of hidden layers.
        skip: the hidden layer that sees all inputs again.
        beta: sharpness of the softplus.
        radius: of the sphere that the field begins as.
        precision: of the matrix products of a training step.
    """

    def __init__(
        self,
        latent_size: int = 0,
        dimension: int = 3,
        octaves: int = 6,
        base: float = 1.0,
        width: int = 256,
        depth: int = 8,
        skip: int = 4,
        beta: float = 100.0,
        radius: float = 1.0,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        at_least(0, octaves=octaves)
        positive(base=base)
        self.dimension, self.latent_size = dimension, latent_size
        waves = 2 * dimension * octaves
        if skip and width <= dimension + waves + latent_size:
            raise InputError(
                f"width={width}: must exceed the {dimension + waves} coordinates and waves (1 + 2 "
                f"octaves of each) and the {latent_size} numbers of a code; give fewer octaves"
            )
        self.inner = SkipMLP(latent_size, dimension + waves, width, depth, skip, beta, radius)
        self.precision: Precision = precision
        self.frequencies = tuple(base * 2.0**octave for octave in range(octaves))
        with torch.no_grad():
            for index in {0, skip}:
                weight = self.inner.linears()[index].weight
                weight[:, weight.shape[1] - waves :] = 0

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Signed distance, positive outside; differentiable any number of times."""
        return self.inner(self._seen(points)[0], latent)

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """F and grad f, both differentiable once more, by the chain rule through the waves."""
        self.inner.precision = self.precision
        seen, slopes = self._seen(points)
        sdf, gradient = self.inner.value_and_gradient(
            seen, latent, gradient_from=gradient_from, value_until=value_until
        )
        return sdf, (gradient * slopes[:, gradient_from:]).unflatten(-1, (-1, self.dimension)).sum(
            -2
        )

    def bytes_per_point(self) -> int:
        """Those of the perceptron, and the waves."""
        return self.inner.bytes_per_point() + 16 * self.inner.dimension

    def lipschitz_bound(self) -> float:
        """That of the perceptron; the waves of a coordinate move sqrt(1 + octaves) times as far."""
        return self.inner.lipschitz_bound() * math.sqrt(1 + len(self.frequencies))

    def drop_memory(self) -> None:
        """Give back the tensors of blocks of points."""
        self.inner.drop_memory()

    def _seen(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B N E"], Float[Tensor, "B N E"]]:
        """What the perceptron sees of each point, and its slope along the coordinate it is of."""
        seen, slopes = [points], [torch.ones_like(points)]
        for frequency in self.frequencies:
            sine, cosine = torch.sin(frequency * points), torch.cos(frequency * points)
            seen += [sine / frequency, cosine / frequency]
            slopes += [cosine, -sine]
        return torch.cat(seen, -1), torch.cat(slopes, -1)
