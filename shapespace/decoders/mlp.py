"""The perceptron of DeepSDF and IGR, its input seen again half way, its gradient in closed form.

Input columns are [latent, x] at the first layer and [hidden, latent, x] at the skip layer, as in
the published networks. The latent columns act once a scan, not once a point: they are a bias.
Letters: B scans, N points a scan, D dimension, L code length, H width.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder, Precision
from shapespace.decoders.fused.autograd import Options, fused_jacobian, fused_value_and_gradient
from shapespace.decoders.fused.blocks import Layer
from shapespace.decoders.fused.buffers import BufferPool
from shapespace.errors import at_least, positive


class SkipMLP(Decoder):
    """Softplus perceptron with one skip connection (DeepSDF, Park et al. 2019; IGR, 2020).

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        width: H, neurons of a hidden layer; more than ``dimension + latent_size`` with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees [latent, x] again, divided by sqrt 2; 0 for none.
        beta: sharpness of the softplus; its derivative is within exp(-beta |a|) of a step.
        radius: the field begins as about |x| - radius (geometric initialisation, SAL, Atzmon and
            Lipman 2020).
        precision: of the matrix products of a training step; mixed keeps f exact and is faster
            where bfloat16 is (GPUs, CPUs with AMX); benchmarks/README.md has the errors.
        compiled: train through torch.compile, which needs a C++ compiler and most of a minute at
            the start, and takes no notice of ``precision``.
        zero_latent_columns: begin with latent columns 0, so that the sphere holds for any code;
            needed for codes that do not begin at zero (never both: no gradient would flow).
    """

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        width: int = 512,
        depth: int = 8,
        skip: int = 4,
        beta: float = 100.0,
        radius: float = 1.0,
        zero_latent_columns: bool = False,
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, latent_size=latent_size)
        at_least(1, width=width, depth=depth)
        positive(beta=beta, radius=radius)
        inputs = dimension + latent_size
        if not 0 <= skip < depth:
            raise ValueError(f"skip={skip} must name one of the {depth} hidden layers, or be 0")
        if skip and width <= inputs:
            raise ValueError(
                f"width={width} must exceed dimension + latent_size = {inputs}, because the layer "
                "before the skip gives up that many neurons: widen it, shorten the code, or skip=0"
            )
        self.dimension, self.latent_size = dimension, latent_size
        self.skip, self.beta, self.radius = skip, beta, radius
        self.zero_latent_columns = zero_latent_columns
        self.precision, self.compiled = precision, compiled
        self._memory = BufferPool()
        widths = [inputs] + [width] * depth + [1]
        outputs = [w - inputs if skip and k + 1 == skip else w for k, w in enumerate(widths[1:])]
        self.layers = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(widths[:-1], outputs, strict=True)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Geometric initialisation: f is about |x| - radius for a zero code."""
        *hidden, last = self.linears()
        for layer in hidden:
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / layer.out_features))
            nn.init.zeros_(layer.bias)
        nn.init.normal_(last.weight, math.sqrt(math.pi / last.in_features), 1e-5)
        nn.init.constant_(last.bias, -self.radius)
        if self.zero_latent_columns:
            for index in {0, self.skip}:
                _, latent, _ = self._columns(index)
                with torch.no_grad():
                    latent.zero_()

    def linears(self) -> list[nn.Linear]:
        """The affine layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Signed distance, positive outside; differentiable any number of times."""
        layers = self._fold(latent)
        if not torch.is_grad_enabled():
            num_points = points.shape[1]
            return self._evaluate(points, layers, gradient_from=num_points, value_until=num_points)[
                0
            ]
        *hidden_layers, last = layers
        hidden = None
        for layer in hidden_layers:
            hidden = softplus(layer(hidden, points), self.beta)
        return last(hidden, points).squeeze(-1)

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """F and grad f, both differentiable once more.

        ``precision`` holds where a graph is kept; without one all is float32.
        """
        layers = self._fold(latent)
        value_until = points.shape[1] if value_until is None else value_until
        if self.compiled and torch.is_grad_enabled():
            sdf, gradient = _compiled()(points, layers, self.beta)
            return sdf[:, :value_until], gradient[:, gradient_from:]
        return self._evaluate(points, layers, gradient_from=gradient_from, value_until=value_until)

    @torch.no_grad()
    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
        """F, grad f and df/dz in closed form; the code's columns act like biases."""
        columns = {
            index: self._columns(index)[1] * (math.sqrt(0.5) if index else 1.0)
            for index in {0, self.skip}
        }
        options = Options(self.beta, "float32", self._memory)
        return fused_jacobian(points, self._fold(latent), columns, options)

    @torch.no_grad()
    def lipschitz_bound(self) -> float:
        """A number that |grad f| exceeds nowhere, for no code: from the norms of the matrices.

        softplus' is at most 1, so that |dh'/dx| <= |W_h| |dh/dx| + |W_x| for each layer, with
        spectral norms. Certain, and far above the truth: layers do not all stretch the same way.
        """
        bound = 0.0
        for layer in self._fold(self.linears()[0].weight.new_zeros(1, self.latent_size)):
            parts = layer.hidden, layer.points
            through, direct = (
                0.0 if part is None else float(torch.linalg.matrix_norm(part.double(), 2))
                for part in parts
            )
            bound = through * bound + direct
        return bound

    def drop_memory(self) -> None:
        """Give back the tensors of blocks of points."""
        self._memory = BufferPool()

    def bytes_per_point(self) -> int:
        """Two numbers for each neuron that are kept, and as many that it works with."""
        if self.compiled:
            return super().bytes_per_point()
        size = 2 if self.precision in ("mixed", "bfloat16") else 4
        return 4 * size * sum(layer.out_features for layer in self.linears())

    def _evaluate(
        self, points: Tensor, layers: Sequence[Layer], *, gradient_from: int, value_until: int
    ) -> tuple[Tensor, Tensor]:
        precision = self.precision if torch.is_grad_enabled() else "float32"
        return fused_value_and_gradient(
            points,
            layers,
            Options(self.beta, precision, self._memory),
            gradient_from=gradient_from,
            value_until=value_until,
        )

    def _columns(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Views of a layer's weight on the hidden, latent and point columns."""
        weight = self.linears()[index].weight
        hidden = weight.shape[1] - self.latent_size - self.dimension
        return weight[:, :hidden], weight[:, hidden : -self.dimension], weight[:, -self.dimension :]

    def _fold(self, latent: Float[Tensor, "B L"]) -> list[Layer]:
        """All layers with the latent columns turned into a bias for each scan."""
        folded = []
        for index, linear in enumerate(self.linears()):
            if index == 0 or index == self.skip:
                hidden, code, points = self._columns(index)
                factor = math.sqrt(0.5) if index else 1.0
                bias = ((latent @ code.mT) * factor + linear.bias).unsqueeze(1)
                folded.append(Layer(hidden * factor if index else None, points * factor, bias))
            else:
                folded.append(Layer(linear.weight, None, linear.bias))
        return folded


def closed_form(
    points: Float[Tensor, "B N D"], layers: Sequence[Layer], beta: float
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
    """F and grad f by ordinary operations: the reverse chain of W^T and softplus'.

    No graph of a graph is built: it can be compiled, and differentiated any number of times.
    """
    *hidden_layers, last = layers
    hidden, slopes = None, []
    for layer in hidden_layers:
        a = layer(hidden, points)
        hidden = softplus(a, beta)
        slopes.append(torch.sigmoid(beta * a))
    sdf = last(hidden, points).squeeze(-1)
    assert last.hidden is not None
    back: Tensor = last.hidden
    gradient = torch.zeros((), dtype=points.dtype, device=points.device)
    for layer, slope in zip(reversed(hidden_layers), reversed(slopes), strict=True):
        back = back * slope
        if layer.points is not None:
            gradient = gradient + back @ layer.points
        if layer.hidden is not None:
            back = back @ layer.hidden
    return sdf, gradient


@cache
def _compiled() -> Callable[..., tuple[Tensor, Tensor]]:
    return torch.compile(closed_form, dynamic=True)


def softplus(a: Float[Tensor, "*shape"], beta: float) -> Float[Tensor, "*shape"]:
    """log(1 + exp(beta a)) / beta; linear only where that is exact in double precision."""
    return F.softplus(a, beta, threshold=40)
