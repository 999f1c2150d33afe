"""Sine perceptrons: SIREN, its start as a sphere by DiGS, and quadratic neurons of StEik.

Letters: B scans, N points a scan, D dimension, L code length, H width.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder
from shapespace.decoders.layers import CodeLinear, lipschitz_of
from shapespace.errors import at_least, positive

Codes = Literal["concatenated", "modulated"]
Neurons = Literal["linear", "quadratic"]
LOW = 0.25
"""Share of the first neurons that begin with the low frequency (DiGS)."""


class Siren(Decoder):
    """Perceptron with h' = sin(omega (W h + b)) (SIREN, Sitzmann et al. 2020).

    The start "siren" is the published one. It is no sphere: f is small noise of many frequencies,
    and its objective needs normals to say what is inside. The start "mfgi" (DiGS, Ben-Shabat et al.
    2022) is a sphere of low frequency with three quarters of the first neurons at omega. There
    f = (sign(a) sqrt|a| - offset) scale, a the last layer, which begins near a multiple of |x|^2.
    Its radius is about 3.6 offset sqrt(D / width): 0.6 at width 256 in 3-D with the published
    offset. It holds for any code with ``zero_latent_columns``, else for codes near 0.

    Both starts count the coordinates of x as the inputs of the first layer, whatever the length of
    the code. With the code counted, as in DiGS' spaces, the frequencies of x would fall and the
    radius would grow with the length of the code.

    A quadratic neuron (StEik, Yang et al. 2023) has (W1 h + b1)(W2 h + b2) + W3 h^2 + b3 in place
    of W h + b. It begins as the linear one.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        width: neurons of a hidden layer.
        depth: number of sine layers: 4 in SIREN, 5 in DiGS and StEik; "mfgi" needs 3.
        omega: frequency of the sines.
        start: "siren" or "mfgi".
        codes: "concatenated" to x in the first layer, as in DiGS; "modulated", where the code also
            shifts the sines of every layer (functa, Dupont et al. 2022).
        neurons: "linear" or "quadratic".
        offset: of "mfgi", 1.6 in DiGS.
        scale: of "mfgi", 0.1 in DiGS for its spaces of shapes.
        zero_latent_columns: begin with latent columns 0. Codes that do not begin at 0 need this
            for a sphere; codes that begin at 0 must not have this.
    """

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        width: int = 256,
        depth: int = 4,
        omega: float = 30.0,
        start: Literal["siren", "mfgi"] = "siren",
        codes: Codes = "concatenated",
        neurons: Neurons = "linear",
        offset: float = 1.6,
        scale: float = 0.1,
        zero_latent_columns: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, latent_size=latent_size)
        at_least(3 if start == "mfgi" else 1, depth=depth)
        at_least(4 if start == "mfgi" else 1, width=width)
        positive(omega=omega, offset=offset, scale=scale)
        self.dimension = dimension
        self.latent_size = latent_size
        self.omega = omega
        self.start = start
        self.offset = offset
        self.scale = scale
        self.zero_latent_columns = zero_latent_columns
        later = latent_size if codes == "modulated" else 0
        sizes = [(0, latent_size, dimension, width)]
        sizes += [(width, later, 0, width)] * (depth - 1) + [(width, 0, 0, 1)]
        kind = _Quadratic if neurons == "quadratic" else CodeLinear
        self.layers = nn.ModuleList(kind(*size) for size in sizes)
        plain = [layer.plain if isinstance(layer, _Quadratic) else layer for layer in self.layers]
        linears = [layer for layer in plain if isinstance(layer, CodeLinear)]
        siren_start(linears, omega)
        if start == "mfgi":
            mfgi_start(linears, omega)
        if zero_latent_columns:
            for layer in self.modules():
                if isinstance(layer, CodeLinear):
                    layer.zero_latent()

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f at ``points``, positive outside; differentiable any number of times."""
        *hidden_layers, last = self.layers
        hidden = None
        for layer in hidden_layers:
            hidden = torch.sin(self.omega * layer(hidden, latent, points))
        a = last(hidden, latent, points).squeeze(-1)
        if self.start == "siren":
            return a
        return (torch.sign(a) * self._root(a) - self.offset) * self.scale

    def value_gradient_hessian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
        """f, grad f and the Hessian, in closed form for linear neurons.

        With u the derivative of the last layer a in a neuron sin(omega b), the Hessian of a is the
        sum over all neurons of -u omega^2 sin(omega b) grad b grad b^T: only the sines bend.
        """
        layers = [layer for layer in self.layers if isinstance(layer, CodeLinear)]
        if len(layers) < len(self.layers):
            return super().value_gradient_hessian(points, latent)
        *hidden_layers, last = layers
        hidden = None
        # sin(omega b), its slope in b, and grad b [B, N, D, O] of each layer.
        sines: list[Tensor] = []
        slopes: list[Tensor] = []
        tangents: list[Tensor] = []
        for layer in hidden_layers:
            b = layer(hidden, latent, points)
            of_hidden, _, of_points = layer.columns()
            tangent = of_points.mT.expand(*points.shape[:2], -1, -1)
            if hidden is not None:
                tangent = F.linear(slopes[-1].unsqueeze(-2) * tangents[-1], of_hidden)
            tangents.append(tangent)
            slopes.append(self.omega * torch.cos(self.omega * b))
            hidden = torch.sin(self.omega * b)
            sines.append(hidden)
        a = last(hidden, latent, points).squeeze(-1)
        gradient = F.linear(slopes[-1].unsqueeze(-2) * tangents[-1], last.weight).squeeze(-1)
        hessian = torch.zeros((), dtype=points.dtype, device=points.device)
        back: Tensor = last.weight
        for layer, sine, slope, tangent in zip(
            reversed(hidden_layers),
            reversed(sines),
            reversed(slopes),
            reversed(tangents),
            strict=True,
        ):
            bend = back * sine * -(self.omega**2)
            hessian = hessian + (tangent * bend.unsqueeze(-2)) @ tangent.mT
            back = (back * slope) @ layer.columns()[0]
        if self.start == "siren":
            return a, gradient, hessian
        root = self._root(a)
        value = (torch.sign(a) * root - self.offset) * self.scale
        rise = self.scale / (2 * root)
        bend = -torch.sign(a) * self.scale / (4 * root**3)
        outer = gradient.unsqueeze(-1) * gradient.unsqueeze(-2)
        return (
            value,
            rise.unsqueeze(-1) * gradient,
            rise[..., None, None] * hessian + bend[..., None, None] * outer,
        )

    def hessian_vector(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        vector: Float[Tensor, "B N D"],
    ) -> Float[Tensor, "B N D"]:
        """The Hessian times a vector, from the whole Hessian where that has a closed form.

        Args:
            points: of each scan, in the frame of the space.
            latent: the code of each scan.
            vector: at each point.
        """
        if not all(isinstance(layer, CodeLinear) for layer in self.layers):
            return super().hessian_vector(points, latent, vector)
        _, _, hessian = self.value_gradient_hessian(points, latent)
        return (hessian @ vector[..., None])[..., 0]

    @staticmethod
    def _root(a: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """sqrt(|a|), with the 1e-8 of DiGS below the root, whose slope at 0 is infinite."""
        return torch.sqrt(a.abs() + 1e-8)

    def lipschitz_bound(self) -> float:
        """The product of omega and the spectral norms; infinite if no bound is known.

        Quadratic neurons have no bound, and neither has the root of "mfgi" near 0.
        """
        layers = [layer for layer in self.layers if isinstance(layer, CodeLinear)]
        if self.start == "mfgi" or len(layers) < len(self.layers):
            return math.inf
        # The slope of a sine layer in W h + b is omega: as a factor of its inputs.
        return lipschitz_of([(layer, self.omega) for layer in layers[:-1]] + [(layers[-1], 1.0)])


class _Quadratic(nn.Module):
    """(W1 h + b1)(W2 h + b2) + W3 h^2 + b3, of [hidden, latent, x]; starts of StEik's code.

    Args:
        hidden: neurons of the layer before.
        latent: L, or 0 where the layer does not see the code.
        points: D, or 0 where the layer does not see the points.
        out: neurons of the layer.
    """

    def __init__(self, hidden: int, latent: int, points: int, out: int) -> None:
        super().__init__()
        self.plain = CodeLinear(hidden, latent, points, out=out)
        self.gate = CodeLinear(hidden, latent, points, out=out)
        self.square = CodeLinear(hidden, latent, points, out=out)
        for layer, bias in ((self.gate, 1.0), (self.square, 0.0)):
            nn.init.normal_(layer.weight, 0.0, 1e-5)
            nn.init.constant_(layer.bias, bias)

    def forward(
        self,
        hidden: Float[Tensor, "B N H"] | None,
        latent: Float[Tensor, "B L"],
        points: Float[Tensor, "B N D"],
    ) -> Float[Tensor, "B N O"]:
        """The quadratic layer; parts that it does not see are ignored.

        Args:
            hidden: outputs of the layer before; None for the first layer.
            latent: the code of each scan.
            points: of each scan.
        """
        product = self.plain(hidden, latent, points) * self.gate(hidden, latent, points)
        squared = None if hidden is None else hidden.square()
        return product + self.square(squared, latent.square(), points.square())


@torch.no_grad()
def siren_start(layers: Sequence[CodeLinear], omega: float) -> None:
    """First layer U(-1/D, 1/D), the others U(-sqrt(6/in)/omega, sqrt(6/in)/omega).

    Biases keep torch's start, as in the authors' code. Every W h then has unit variance.
    """
    for index, layer in enumerate(layers):
        bound = math.sqrt(6 / layer.weight.shape[1]) / omega if index else 1 / layer.parts[2]
        nn.init.uniform_(layer.weight, -bound, bound)


@torch.no_grad()
def mfgi_start(layers: Sequence[CodeLinear], omega: float) -> None:
    """The multi-frequency geometric start of DiGS (Ben-Shabat et al. 2022), from their code.

    A quarter of the first neurons has the low frequency, the others omega. The second layer hears
    the low ones alone, but for a small share. The last sine layer is sin(pi/2 h + pi/2) = cos(pi/2
    h), and the sum of 1 - cos is about |h|^2.
    """
    first, second, *_, last_sine, last = layers
    for layer in layers:
        width = len(layer.bias)
        bound = math.sqrt(3 / width) / omega
        nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.uniform_(layer.bias, -1e-3 / width / omega, 1e-3 / width / omega)
    width = len(first.bias)
    low = int(LOW * width)
    bound = math.sqrt(3 / first.parts[2])
    nn.init.uniform_(first.weight, -bound, bound)
    first.weight[:low].mul_(1 / omega)
    bound = math.sqrt(3 / width)
    # The lower limit is not divided by omega in the authors' code either.
    nn.init.uniform_(second.weight, -bound * 5e-4, bound / omega * 5e-4)
    nn.init.uniform_(second.weight[:low, :low], -bound / omega, bound / omega)
    half_pi = 0.5 * math.pi
    last_sine.weight.normal_(0.0, 1e-3)
    last_sine.weight[:, :width].add_(half_pi * torch.eye(width, device=last_sine.weight.device))
    last_sine.weight.mul_(1 / omega)
    nn.init.normal_(last_sine.bias, half_pi / omega, 1e-3 / omega)
    nn.init.normal_(last.weight, -1.0, 1e-5)
    nn.init.constant_(last.bias, width)
