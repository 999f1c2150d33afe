"""Layers that several decoders share: the code as columns, weight norm, starts and bounds.

Letters: B scans, N points a scan, D dimension, L code length, H inputs and O outputs of a layer.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class CodeLinear(nn.Module):
    """An affine layer of [hidden, latent, x], in this order of columns; each part may be empty.

    Every point of a scan has the same code. The product of the code and its columns is therefore
    computed once a scan and added as a bias, which is the same as a code beside every point.

    Args:
        hidden: H, neurons of the layer before; 0 for the first layer.
        latent: L, the code length where the layer sees the code; 0 where it does not.
        points: D, where the layer sees the points; 0 where it does not.
        out: O, neurons of the layer.
        normed: weight norm (Salimans and Kingma 2016): each row is a length times a direction, so
            that ``weight`` holds the directions, of any length, and ``length`` the lengths.
    """

    def __init__(
        self, hidden: int, latent: int, points: int, out: int, normed: bool = False
    ) -> None:
        super().__init__()
        self.parts = (hidden, latent, points)
        self.weight = nn.Parameter(torch.empty(out, hidden + latent + points))
        self.bias = nn.Parameter(torch.empty(out))
        self.length = nn.Parameter(torch.empty(out)) if normed else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """torch's own start of an affine layer: U(-1/sqrt(in), 1/sqrt(in)), in = H + L + D."""
        bound = 1 / math.sqrt(max(self.weight.shape[1], 1))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.keep_lengths()

    @torch.no_grad()
    def keep_lengths(self) -> None:
        """Take the lengths of weight norm from ``weight``: the layer is then the plain one."""
        if self.length is not None:
            self.length.copy_(torch.linalg.vector_norm(self.weight, dim=1))

    @torch.no_grad()
    def zero_latent(self) -> None:
        """Set the columns of the code to 0: the layer then does not depend on the code."""
        hidden, latent, _ = self.parts
        self.weight[:, hidden : hidden + latent] = 0
        self.keep_lengths()

    def columns(self) -> tuple[Float[Tensor, "O H"], Float[Tensor, "O L"], Float[Tensor, "O D"]]:
        """The columns of hidden, latent and x, with weight norm applied."""
        matrix = self.weight
        if self.length is not None:
            norm = torch.linalg.vector_norm(matrix, dim=1, keepdim=True)
            matrix = matrix * (self.length[:, None] / norm)
        hidden, latent, points = matrix.split(self.parts, dim=1)
        return hidden, latent, points

    def forward(
        self,
        hidden: Float[Tensor, "B N H"] | None,
        latent: Float[Tensor, "B L"],
        points: Float[Tensor, "B N D"],
        factor: float = 1.0,
    ) -> Float[Tensor, "B N O"]:
        """The affine layer; parts that it does not see are ignored.

        Args:
            hidden: outputs of the layer before; None for the first layer.
            latent: the code of each scan.
            points: of each scan.
            factor: of all inputs, such as sqrt(1/2) at a skip.
        """
        of_hidden, of_latent, of_points = self.columns()
        if factor != 1:
            # Matrices are smaller than activations.
            of_hidden, of_latent, of_points = (
                matrix * factor for matrix in (of_hidden, of_latent, of_points)
            )
        sees_hidden = hidden is not None
        _, sees_code, sees_points = self.parts
        out = F.linear(hidden, of_hidden, self.bias) if sees_hidden else self.bias
        if sees_points:
            out = out + F.linear(points, of_points)
        return out + (latent @ of_latent.mT).unsqueeze(1) if sees_code else out


@torch.no_grad()
def sphere_start(
    layers: Sequence[CodeLinear], radius: float, slope: float = 1.0, leak: float = 0.0
) -> None:
    """Let a ReLU perceptron begin as about slope |x| - radius (SAL, Atzmon and Lipman 2020).

    Hidden rows are N(0, 2/O): the random layers keep lengths on average, as a ReLU drops half of
    the squared length. The last row is constant and turns the mean of its inputs into the length.
    A code counts as further coordinates, unless its columns are zero.

    Args:
        layers: first to last; the last has one neuron.
        radius: in the store's unit.
        slope: of f in the distance to the origin; SAL's code has 2.
        leak: slope of the activation for negative inputs; 0 is a ReLU.
    """
    *hidden, last = layers
    for layer in hidden:
        nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / (1 + leak**2) / len(layer.bias)))
        nn.init.zeros_(layer.bias)
        layer.keep_lengths()
    # The mean of the activation of N(0, s^2) is (1 - leak) s / sqrt(2 pi).
    mean = slope * math.sqrt(math.pi * (1 + leak**2)) / (1 - leak)
    nn.init.normal_(last.weight, mean / math.sqrt(last.weight.shape[1]), 1e-6)
    nn.init.constant_(last.bias, -radius)
    last.keep_lengths()


@torch.no_grad()
def lipschitz_of(layers: Sequence[tuple[CodeLinear, float]]) -> float:
    """A bound of |grad f| of a perceptron whose activation has slope 1 at most.

    A layer h' = a(W h + X x + c) has |dh'/dx| <= |W| |dh/dx| + |X|, with spectral norms. The code
    moves c alone, so that the bound holds for any code.

    Args:
        layers: first to last, each with the factor of its inputs.
    """
    bound = 0.0
    for layer, factor in layers:
        hidden, _, points = layer.columns()
        bound = factor * (_spectral_norm(hidden) * bound + _spectral_norm(points))
    return bound


def _spectral_norm(matrix: Tensor) -> float:
    """The largest singular value, in double precision; 0 for a matrix without columns."""
    return float(torch.linalg.matrix_norm(matrix.double(), 2)) if matrix.numel() else 0.0
