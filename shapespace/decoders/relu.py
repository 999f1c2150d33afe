"""The ReLU perceptrons of DeepSDF and SAL.

Letters: B scans, N points a scan, D dimension, L code length, H width.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder
from shapespace.decoders.layers import CodeLinear, lipschitz_of, sphere_start
from shapespace.errors import InputError, at_least, positive

Start = Literal["sphere", "sal", "uniform"]
Output = Literal["linear", "tanh", "tanh_plus"]


class ReluMLP(Decoder):
    """ReLU perceptron with one skip connection (DeepSDF, Park et al. 2019; SAL, 2020).

    DeepSDF is ``start="uniform", output="tanh", dropout=0.2, divide_skip=False``. SAL is
    ``start="sal"``, and ``output="tanh_plus"`` with its h0. f has no curvature: a ReLU is not twice
    differentiable, so that objectives with second derivatives refuse this decoder.

    The start "sphere" is f = |x| - radius. The start "sal" is 2 |x| - radius, as the authors' code
    has it (last row 2 sqrt(pi/in)): a sphere of half the radius. Both hold for any code with
    ``zero_latent_columns``, else for codes near 0. The start "uniform" is torch's own, which
    DeepSDF trains from: it is no sphere, because signed distances need none.

    Dropout acts in steps of a training alone, never in a fit, an evaluation or a preview: in
    training mode and where gradients are enabled. Its masks depend on the number of the step, which
    a checkpoint keeps, and on the points of the scan. So they change with every step, a resumed run
    repeats an undisturbed one bit for bit, and any number of ranks or chunks draws the same masks.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        width: neurons of a hidden layer; more than ``dimension + latent_size`` with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees [latent, x] again; 0 for none.
        divide_skip: divide the inputs of the skip layer by sqrt 2 (SAL); DeepSDF does not.
        weight_norm: of the hidden layers, as in both papers.
        dropout: share of the neurons of each hidden layer that a training step drops; DeepSDF
            drops 0.2.
        output: "linear"; "tanh", DeepSDF's tanh(a); "tanh_plus", tanh(a) + a of SAL's h0.
        start: "sphere", "sal" or "uniform".
        radius: of the start, in the store's unit.
        zero_latent_columns: begin with latent columns 0. Codes that do not begin at 0 need this
            for a sphere; codes that begin at 0 must not have this.
    """

    twice_differentiable = False
    steps: Tensor
    """Steps of the training so far, with dropout: the weights have changed this many times."""

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        width: int = 512,
        depth: int = 8,
        skip: int = 4,
        divide_skip: bool = True,
        weight_norm: bool = True,
        dropout: float = 0.0,
        output: Output = "linear",
        start: Start = "sphere",
        radius: float = 1.0,
        zero_latent_columns: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, latent_size=latent_size, skip=skip)
        at_least(1, width=width, depth=depth)
        positive(radius=radius)
        inputs = dimension + latent_size
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout:g}: give a share, 0 or more, below 1")
        _check_skip(skip, depth=depth, width=width, inputs=inputs)
        self.dimension = dimension
        self.latent_size = latent_size
        self.skip = skip
        self.factor = math.sqrt(0.5) if divide_skip else 1.0
        self.dropout = dropout
        self.output = output
        self.zero_latent_columns = zero_latent_columns
        if dropout:
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self._weights: int | None = None
        self.layers = nn.ModuleList()
        before = 0
        for index in range(depth):
            out = width - inputs if skip and index + 1 == skip else width
            sees = index in (0, skip)
            self.layers.append(
                CodeLinear(
                    before, latent_size * sees, dimension * sees, out=out, normed=weight_norm
                )
            )
            before = out
        self.layers.append(CodeLinear(before, 0, 0, out=1))
        self._begin(start, radius)

    @torch.no_grad()
    def _begin(self, start: Start, radius: float) -> None:
        """Set the weights as ``start`` says."""
        layers = self._linears()
        if start != "uniform":
            sphere_start(layers, radius, slope=2.0 if start == "sal" else 1.0)
            if self.skip and self.factor == 1:
                # The skip layer sees x twice and nothing divides by sqrt 2: its matrix does.
                layers[self.skip].weight.mul_(math.sqrt(0.5))
                layers[self.skip].keep_lengths()
        if self.zero_latent_columns:
            for layer in layers:
                layer.zero_latent()

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f at ``points``, positive outside."""
        *hidden_layers, last = self._linears()
        drops = self.training and self.dropout and torch.is_grad_enabled()
        seeds = self._seeds(points) if drops else []
        hidden = None
        for index, layer in enumerate(hidden_layers):
            factor = self.factor if index and index == self.skip else 1.0
            hidden = torch.relu(layer(hidden, latent, points, factor))
            if seeds:
                hidden = hidden * self._kept(hidden, seeds, index)
        a = last(hidden, latent, points).squeeze(-1)
        if self.output == "tanh":
            return torch.tanh(a)
        return torch.tanh(a) + a if self.output == "tanh_plus" else a

    def lipschitz_bound(self) -> float:
        """The product of the spectral norms, times 2 for ``tanh_plus``, whose slope is at most 2.

        It holds without dropout.
        """
        factors = [
            self.factor if index and index == self.skip else 1.0
            for index in range(len(self.layers))
        ]
        bound = lipschitz_of(list(zip(self._linears(), factors, strict=True)))
        return bound * (2 if self.output == "tanh_plus" else 1)

    def _linears(self) -> list[CodeLinear]:
        return [layer for layer in self.layers if isinstance(layer, CodeLinear)]

    @torch.no_grad()
    def _seeds(self, points: Tensor) -> list[int]:
        """A seed for each scan, from the number of the step and the bits of its points.

        The weights themselves give no seed: several ranks round them differently. That they have
        changed since the last evaluation, by an optimiser or a checkpoint, says that this is
        another step.
        """
        weights = int(sum(_bits(weight) for weight in self.parameters()))
        if weights != self._weights:
            self._weights = weights
            self.steps += 1
        bits = torch.stack([_bits(scan) for scan in points])
        return ((bits + 1_000_003 * self.steps) % 2**61).tolist()

    def _kept(
        self, hidden: Float[Tensor, "B N H"], seeds: list[int], index: int
    ) -> Float[Tensor, "B N H"]:
        """0 for dropped neurons of layer ``index`` and 1 / (1 - dropout) for the others."""
        masks = []
        for seed in seeds:
            generator = torch.Generator(hidden.device).manual_seed(
                (seed + 7919 * index) & 2**62 - 1
            )
            draw = torch.rand(hidden.shape[1:], generator=generator, device=hidden.device)
            masks.append(draw >= self.dropout)
        return torch.stack(masks).to(hidden.dtype) / (1 - self.dropout)


def _bits(values: Tensor) -> Tensor:
    """The sum of the bits of numbers, as a whole number that may wrap around."""
    whole = torch.int64 if values.dtype == torch.float64 else torch.int32
    return values.contiguous().view(whole).sum(dtype=torch.int64)


def _check_skip(skip: int, *, depth: int, width: int, inputs: int) -> None:
    """Raise InputError unless the skip layer exists and the one before it is wide enough."""
    if skip >= depth:
        raise InputError(f"skip={skip}: must name one of the {depth} hidden layers, or be 0")
    if skip and width <= inputs:
        raise InputError(
            f"width={width}: must exceed dimension + latent_size = {inputs}, which the layer "
            "before the skip gives up; widen it, shorten the code, or give skip=0"
        )
