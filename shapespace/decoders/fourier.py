"""Perceptrons of an encoding of x: NeRF's positional encoding and random Fourier features.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length, E numbers of an encoded point, M random frequencies.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Precision
from shapespace.decoders.mlp import SkipMLP
from shapespace.errors import InputError, at_least, positive


class EncodedMLP(Decoder):
    """Base of a :class:`SkipMLP` of [x, e(x)], e an encoding of x.

    A subclass calls ``__init__`` and writes :meth:`encode` and :meth:`pulled_back`, the encoding
    and its chain rule.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        columns: E - D, numbers of e(x).
        width: neurons of a hidden layer; more than E and L with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees all inputs again, as of ``SkipMLP``; 0 for none.
        beta: sharpness of the softplus.
        radius: radius of the sphere that the field begins as, in the store's unit.
        precision: of the matrix products of a training step.
        zero_latent_columns: as of ``SkipMLP``.
        zero_columns: let the columns of e(x) begin at 0, so that the field begins as that of x
            alone, the sphere of the ``SkipMLP`` (IDR, Yariv et al. 2020).
    """

    def __init__(
        self,
        latent_size: int,
        dimension: int,
        columns: int,
        *,
        width: int,
        depth: int,
        skip: int,
        beta: float,
        radius: float,
        precision: Precision,
        zero_latent_columns: bool,
        zero_columns: bool = True,
    ) -> None:
        super().__init__()
        if skip and width <= dimension + columns + latent_size:
            raise InputError(
                f"width={width}: must exceed the {dimension + columns} numbers of an "
                f"encoded point and the {latent_size} numbers of a code; give fewer octaves, "
                "frequencies or levels, or skip=0"
            )
        self.dimension = dimension
        self.latent_size = latent_size
        self.precision: Precision = precision
        self.inner = SkipMLP(
            latent_size,
            dimension + columns,
            width=width,
            depth=depth,
            skip=skip,
            beta=beta,
            radius=radius,
            zero_latent_columns=zero_latent_columns,
        )
        self.zero_latent_columns = self.inner.zero_latent_columns
        if zero_columns:
            with torch.no_grad():
                for index in {0, skip}:
                    weight = self.inner.linears()[index].weight
                    weight[:, weight.shape[1] - columns :] = 0

    def encode(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B N E"], Float[Tensor, "B N *slopes"]]:
        """[x, e(x)] of each point, and the slopes that :meth:`pulled_back` reads."""
        raise NotImplementedError

    def pulled_back(
        self, gradient: Float[Tensor, "B K E"], slopes: Float[Tensor, "B K *slopes"]
    ) -> Float[Tensor, "B K D"]:
        """The gradient in x, from the gradient in [x, e(x)]: the chain rule."""
        raise NotImplementedError

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f at ``points``, positive outside; differentiable any number of times."""
        return self.inner(self.encode(points)[0], latent)

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f and grad f, both differentiable once more, by the chain rule through the encoding.

        Args:
            points: of each scan.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        self.inner.precision = self.precision
        encoded, slopes = self.encode(points)
        sdf, gradient = self.inner.value_and_gradient(
            encoded, latent, gradient_from=gradient_from, value_until=value_until
        )
        return sdf, self.pulled_back(gradient, slopes[:, gradient_from:])

    def bytes_per_point(self) -> int:
        """The bytes of the perceptron, and four numbers for each number of an encoded point."""
        return self.inner.bytes_per_point() + 16 * self.inner.dimension

    def drop_memory(self) -> None:
        """Release the buffers of the perceptron."""
        self.inner.drop_memory()


class PositionalMLP(EncodedMLP):
    """A :class:`SkipMLP` of x and of sin(w x) / w, cos(w x) / w for w = base, 2 base, 4 base, ...

    NeRF's positional encoding (Mildenhall et al. 2020). A perceptron of x alone learns fine relief
    last (Tancik et al. 2020). Unlike there, each wave is divided by its frequency: every wave has
    slope 1, as x has, so that grad f stays small. The columns of the waves begin at 0 (IDR, Yariv
    et al. 2020): the field begins as that of the ``SkipMLP``. Its name was ``WaveMLP``, which
    configs and checkpoints may go on to use.

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
        zero_latent_columns: as of ``SkipMLP``.
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
        zero_latent_columns: bool = False,
    ) -> None:
        at_least(0, octaves=octaves)
        positive(base=base)
        super().__init__(
            latent_size,
            dimension,
            2 * dimension * octaves,
            width=width,
            depth=depth,
            skip=skip,
            beta=beta,
            radius=radius,
            precision=precision,
            zero_latent_columns=zero_latent_columns,
        )
        self.frequencies = tuple(base * 2.0**octave for octave in range(octaves))

    def encode(
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

    def pulled_back(
        self, gradient: Float[Tensor, "B K E"], slopes: Float[Tensor, "B K E"]
    ) -> Float[Tensor, "B K D"]:
        """The gradient in x: column k of the encoding depends on coordinate k mod D alone."""
        return (gradient * slopes).unflatten(-1, (-1, self.dimension)).sum(-2)

    def lipschitz_bound(self) -> float:
        """The bound of the perceptron times sqrt(1 + octaves).

        The encoding stretches a coordinate by that factor: x has slope 1, and the squared slopes
        cos^2 + sin^2 of each octave add up to 1.
        """
        return self.inner.lipschitz_bound() * math.sqrt(1 + len(self.frequencies))


WaveMLP = PositionalMLP
"""An old name of :class:`PositionalMLP`, in configs and checkpoints."""


class FourierMLP(EncodedMLP):
    """A :class:`SkipMLP` of x and of random Fourier features (Tancik et al. 2020).

    The features are cos(2 pi b x) and sin(2 pi b x) for M frequencies b from N(0, sigma^2), which
    are drawn once and stored with the weights. As in :class:`PositionalMLP`, each feature is
    divided by the length of 2 pi b, unless ``unit_slopes`` is false as published, and the columns
    of the features begin at 0: the field begins as the sphere of the ``SkipMLP``.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        frequencies: M.
        sigma: standard deviation of the frequencies, turns per unit of the store.
        unit_slopes: divide each feature by its frequency.
        width: neurons of a hidden layer; more than D + 2 M + L with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees all inputs again, as of ``SkipMLP``; 0 for none.
        beta: sharpness of the softplus.
        radius: radius of the sphere that the field begins as, in the store's unit.
        precision: of the matrix products of a training step.
        zero_latent_columns: as of ``SkipMLP``.
    """

    waves: Tensor
    """[M, D]: 2 pi b, radians per unit."""

    def __init__(
        self,
        latent_size: int = 0,
        dimension: int = 3,
        frequencies: int = 64,
        sigma: float = 1.0,
        unit_slopes: bool = True,
        width: int = 256,
        depth: int = 8,
        skip: int = 4,
        beta: float = 100.0,
        radius: float = 1.0,
        precision: Precision = "float32",
        zero_latent_columns: bool = False,
    ) -> None:
        at_least(0, frequencies=frequencies)
        positive(sigma=sigma)
        super().__init__(
            latent_size,
            dimension,
            2 * frequencies,
            width=width,
            depth=depth,
            skip=skip,
            beta=beta,
            radius=radius,
            precision=precision,
            zero_latent_columns=zero_latent_columns,
        )
        self.unit_slopes = unit_slopes
        self.register_buffer("waves", 2 * math.pi * sigma * torch.randn(frequencies, dimension))

    def encode(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B N E"], Float[Tensor, "B N S"]]:
        """The encoding of each point, and the slope of each wave along its own direction."""
        angle = points @ self.waves.mT
        size = self._sizes()
        cosine = torch.cos(angle) / size
        sine = torch.sin(angle) / size
        return torch.cat([points, cosine, sine], -1), torch.cat([-sine, cosine], -1)

    def pulled_back(
        self, gradient: Float[Tensor, "B K E"], slopes: Float[Tensor, "B K S"]
    ) -> Float[Tensor, "B K D"]:
        """The gradient in x: the derivative of a wave lies along its frequency."""
        of_points, of_waves = gradient.tensor_split([self.dimension], -1)
        along = (of_waves * slopes).unflatten(-1, (2, -1)).sum(-2)
        return of_points + along @ self.waves

    def lipschitz_bound(self) -> float:
        """The bound of the perceptron times sqrt(1 + s^2), s the norm of the waves' matrix.

        cos^2 + sin^2 = 1: the features stretch a step d by |W d|, W the waves over their sizes.
        """
        if not len(self.waves):
            return self.inner.lipschitz_bound()
        scaled = (self.waves / self._sizes()[:, None]).double()
        stretch = float(torch.linalg.matrix_norm(scaled, 2))
        return self.inner.lipschitz_bound() * math.sqrt(1 + stretch**2)

    def _sizes(self) -> Float[Tensor, " M"]:
        """What each feature is divided by."""
        length = torch.linalg.vector_norm(self.waves, dim=-1)
        return length if self.unit_slopes else torch.ones_like(length)
