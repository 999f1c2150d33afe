"""A perceptron of Fourier features of x (positional encoding), for one shape in fine detail.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length, E = D + 2 D octaves encoded coordinates.
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

    A perceptron of x alone learns fine relief last (Fourier features, Tancik et al. 2020). Unlike
    there, each wave is divided by its frequency: every wave has slope 1, as x has, so that grad f
    stays small. The columns of the waves begin at 0: the field begins as that of the ``SkipMLP``.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        octaves: number of frequencies, each twice the one before; 0 for none.
        base: the lowest frequency, radians per unit of the store.
        width: neurons of a hidden layer; more than the encoded coordinates and L with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees all inputs again, as of ``SkipMLP``; 0 for none.
        beta: sharpness of the softplus.
        radius: radius of the sphere that the field begins as, in the store's unit.
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
        self.dimension = dimension
        self.latent_size = latent_size
        waves = 2 * dimension * octaves
        if skip and width <= dimension + waves + latent_size:
            raise InputError(
                f"width={width}: must exceed the {dimension + waves} coordinates and waves (1 + 2 "
                f"octaves of each) and the {latent_size} numbers of a code; give fewer octaves"
            )
        self.inner = SkipMLP(
            latent_size,
            dimension=dimension + waves,
            width=width,
            depth=depth,
            skip=skip,
            beta=beta,
            radius=radius,
        )
        self.precision: Precision = precision
        self.frequencies = tuple(base * 2.0**octave for octave in range(octaves))
        with torch.no_grad():
            for index in {0, skip}:
                weight = self.inner.linears()[index].weight
                weight[:, weight.shape[1] - waves :] = 0

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f at ``points``, positive outside; differentiable any number of times."""
        encoded, _ = self._encoded(points)
        return self.inner(encoded, latent)

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f and grad f, both differentiable once more, by the chain rule through the waves.

        Args:
            points: of each scan.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        self.inner.precision = self.precision
        encoded, slopes = self._encoded(points)
        sdf, gradient = self.inner.value_and_gradient(
            encoded, latent, gradient_from=gradient_from, value_until=value_until
        )
        # Column k of the encoding depends on coordinate k mod D alone.
        by_column = gradient * slopes[:, gradient_from:]
        return sdf, by_column.unflatten(-1, (-1, self.dimension)).sum(-2)

    def bytes_per_point(self) -> int:
        """The bytes of the perceptron, and four numbers for each encoded coordinate."""
        return self.inner.bytes_per_point() + 16 * self.inner.dimension

    def lipschitz_bound(self) -> float:
        """The bound of the perceptron times sqrt(1 + octaves).

        The encoding stretches a coordinate by that factor: x has slope 1, and the squared slopes
        cos^2 + sin^2 of each octave add up to 1.
        """
        return self.inner.lipschitz_bound() * math.sqrt(1 + len(self.frequencies))

    def drop_memory(self) -> None:
        """Release the buffers of the perceptron."""
        self.inner.drop_memory()

    def _encoded(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B N E"], Float[Tensor, "B N E"]]:
        """The encoding of each point, and the slope of each column in its own coordinate."""
        encoded = [points]
        slopes = [torch.ones_like(points)]
        for frequency in self.frequencies:
            sine = torch.sin(frequency * points)
            cosine = torch.cos(frequency * points)
            encoded += [sine / frequency, cosine / frequency]
            slopes += [cosine, -sine]
        return torch.cat(encoded, -1), torch.cat(slopes, -1)
