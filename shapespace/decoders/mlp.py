"""The perceptron of DeepSDF and IGR, with one skip connection and grad f in closed form.

The first layer sees [latent, x] and the skip layer [hidden, latent, x], columns in the order of the
published networks. The latent columns see the same code at every point of a scan: their product is
computed once a scan and added as a bias.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length.
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
        width: neurons of a hidden layer; more than ``dimension + latent_size`` with a skip.
        depth: number of hidden layers.
        skip: the hidden layer that sees [latent, x] again; hidden and input are divided by sqrt 2
            there. 0 for none.
        beta: sharpness of the softplus. Its slope at a pre-activation a differs from the step of a
            ReLU by at most exp(-beta |a|).
        radius: radius of the sphere that the field begins as, in the store's unit: f is about
            |x| - radius (geometric initialisation; SAL, Atzmon and Lipman 2020).
        zero_latent_columns: begin with latent columns 0, so that the initial sphere holds for any
            code. Codes that do not begin at 0 need this; codes that begin at 0 must not have this,
            because neither would ever get a gradient.
        precision: of the matrix products of a training step. "mixed" keeps f exact and is faster
            where bfloat16 is (GPUs, CPUs with AMX); benchmarks/README.md has the errors.
        compiled: train through torch.compile. It needs a C++ compiler and most of a minute at the
            start, and ignores ``precision``.
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
        self.dimension = dimension
        self.latent_size = latent_size
        self.skip = skip
        self.beta = beta
        self.radius = radius
        self.zero_latent_columns = zero_latent_columns
        self.precision = precision
        self.compiled = compiled
        self._pool = BufferPool()
        # The layer before the skip gives up as many neurons as the input has, so that the input of
        # the skip layer is as wide as that of all others (as published).
        widths = [inputs] + [width] * depth + [1]
        outputs = [w - inputs if skip and k + 1 == skip else w for k, w in enumerate(widths[1:])]
        self.layers = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(widths[:-1], outputs, strict=True)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Geometric initialisation: f is about |x| - radius for a zero code (SAL, 2020).

        The random hidden layers keep lengths on average, and the last layer turns the mean of its
        inputs into that length. A code counts as further coordinates: a long code destroys the
        sphere unless its columns are 0.
        """
        *hidden, last = self.linears()
        for layer in hidden:
            # A ReLU drops half of the squared length; the factor 2 makes up for it.
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
        """f at ``points``, positive outside; differentiable any number of times."""
        layers = self._fold(latent)
        if not torch.is_grad_enabled():
            # The fused value pass works block by block in the cache, and wants no gradient here.
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
        """f and grad f by the fused kernel, both differentiable once more.

        ``precision`` holds where a graph is kept. Without a graph all products are float32.

        Args:
            points: of each scan.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        layers = self._fold(latent)
        value_until = points.shape[1] if value_until is None else value_until
        if self.compiled and torch.is_grad_enabled():
            sdf, gradient = _compiled()(points, layers, self.beta)
            return sdf[:, :value_until], gradient[:, gradient_from:]
        return self._evaluate(points, layers, gradient_from=gradient_from, value_until=value_until)

    def value_gradient_hessian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
        """f, grad f and the Hessian in closed form, by :func:`closed_form_hessian`."""
        return closed_form_hessian(points, self._fold(latent), self.beta)

    def hessian_vector(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        vector: Float[Tensor, "B N D"],
    ) -> Float[Tensor, "B N D"]:
        """The Hessian times a vector; the whole Hessian costs no more than two such products.

        Args:
            points: of each scan, in the frame of the space.
            latent: the code of each scan.
            vector: at each point.
        """
        _, _, hessian = self.value_gradient_hessian(points, latent)
        return (hessian @ vector[..., None])[..., 0]

    @torch.no_grad()
    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
        """f, grad f and df/dz in closed form; the code acts as a part of the biases."""
        columns = {
            index: self._columns(index)[1] * (math.sqrt(0.5) if index else 1.0)
            for index in {0, self.skip}
        }
        options = Options(self.beta, "float32", self._pool)
        return fused_jacobian(points, self._fold(latent), columns=columns, options=options)

    @torch.no_grad()
    def lipschitz_bound(self) -> float:
        """An upper bound of |grad f| over all points and codes, from the norms of the matrices.

        The slope of the softplus is at most 1. A layer h' = softplus(W h + X x + c) therefore has
        |dh'/dx| <= |W| |dh/dx| + |X|, with spectral norms. The bound is certain and far above the
        largest gradient, because the layers do not all stretch the same direction.
        """
        bound = 0.0
        for layer in self._fold(self.linears()[0].weight.new_zeros(1, self.latent_size)):
            bound = _spectral_norm(layer.hidden) * bound + _spectral_norm(layer.points)
        return bound

    def drop_memory(self) -> None:
        """Release the buffers of the fused kernel."""
        self._pool = BufferPool()

    def bytes_per_point(self) -> int:
        """Two numbers a neuron that are kept for the backward pass, and as many to work with."""
        if self.compiled:
            return super().bytes_per_point()
        size = 2 if self.precision in ("mixed", "bfloat16") else 4
        return 4 * size * sum(layer.out_features for layer in self.linears())

    def _evaluate(
        self, points: Tensor, layers: Sequence[Layer], *, gradient_from: int, value_until: int
    ) -> tuple[Tensor, Tensor]:
        """f and grad f by the fused kernel; lower precision only for a training step."""
        precision = self.precision if torch.is_grad_enabled() else "float32"
        return fused_value_and_gradient(
            points,
            layers,
            Options(self.beta, precision, self._pool),
            gradient_from=gradient_from,
            value_until=value_until,
        )

    def _columns(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The hidden, latent and point columns of a layer's weight, as views."""
        weight = self.linears()[index].weight
        hidden = weight.shape[1] - self.latent_size - self.dimension
        return weight[:, :hidden], weight[:, hidden : -self.dimension], weight[:, -self.dimension :]

    def _fold(self, latent: Float[Tensor, "B L"]) -> list[Layer]:
        """All layers, the product of the code and its columns added to the bias of each scan.

        The published skip divides [hidden, latent, x] by sqrt 2; here the columns are divided.
        """
        folded = []
        for index, linear in enumerate(self.linears()):
            if index == 0 or index == self.skip:
                hidden, code, points = self._columns(index)
                factor = math.sqrt(0.5) if index else 1.0
                bias = ((latent @ code.mT) * factor + linear.bias).unsqueeze(1)
                # [hidden, latent, x] / sqrt 2, by the columns: matrices are smaller than
                # activations.
                folded.append(Layer(hidden * factor if index else None, points * factor, bias))
            else:
                folded.append(Layer(linear.weight, None, linear.bias))
        return folded


def closed_form(
    points: Float[Tensor, "B N D"], layers: Sequence[Layer], beta: float
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
    """f and grad f by ordinary operations: the chain rule from the last layer to the first.

    This is the slow oracle of the fused kernel, whose values and derivatives the tests compare with
    this function. ``compiled=True`` trains through it. No graph of a graph is built, so that
    torch.compile can take it and autograd can differentiate it any number of times.

    Args:
        points: of each scan.
        layers: first to last, with the code in their biases; the last has one neuron.
        beta: sharpness of the softplus.
    """
    *hidden_layers, last = layers
    hidden = None
    slopes = []
    for layer in hidden_layers:
        a = layer(hidden, points)
        hidden = softplus(a, beta)
        slopes.append(torch.sigmoid(beta * a))
    sdf = last(hidden, points).squeeze(-1)
    assert last.hidden is not None
    # df/dh of the layer at hand; times the slope, df/da of its pre-activation.
    back: Tensor = last.hidden
    gradient = torch.zeros((), dtype=points.dtype, device=points.device)
    for layer, slope in zip(reversed(hidden_layers), reversed(slopes), strict=True):
        back = back * slope
        if layer.points is not None:
            gradient = gradient + back @ layer.points
        if layer.hidden is not None:
            back = back @ layer.hidden
    return sdf, gradient


def closed_form_hessian(
    points: Float[Tensor, "B N D"], layers: Sequence[Layer], beta: float
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
    """f, grad f and the Hessian by ordinary operations, from D + 2 passes through the layers.

    With u = df/dh of a neuron h = softplus(a), the Hessian is the sum over all neurons of
    u softplus''(a) grad a grad a^T: only the softplus bends. Autograd alone would take a pass
    forward and a pass back for each coordinate, and keep a graph of a graph.

    Args:
        points: of each scan.
        layers: first to last, with the code in their biases; the last has one neuron.
        beta: sharpness of the softplus.
    """
    *hidden_layers, last = layers
    hidden = None
    slopes = []
    # grad a of each layer, [B, N, D, O].
    tangents: list[Tensor] = []
    for layer in hidden_layers:
        a = layer(hidden, points)
        tangent = torch.zeros((), dtype=points.dtype, device=points.device)
        if layer.hidden is not None:
            tangent = F.linear(slopes[-1].unsqueeze(-2) * tangents[-1], layer.hidden)
        if layer.points is not None:
            tangent = tangent + layer.points.mT
        tangents.append(tangent.expand(*points.shape, layer.width))
        slopes.append(torch.sigmoid(beta * a))
        hidden = softplus(a, beta)
    sdf = last(hidden, points).squeeze(-1)
    assert last.hidden is not None
    gradient = F.linear(slopes[-1].unsqueeze(-2) * tangents[-1], last.hidden).squeeze(-1)
    hessian = torch.zeros((), dtype=points.dtype, device=points.device)
    back: Tensor = last.hidden
    for layer, slope, tangent in zip(
        reversed(hidden_layers), reversed(slopes), reversed(tangents), strict=True
    ):
        bend = back * (beta * slope * (1 - slope))
        hessian = hessian + (tangent * bend.unsqueeze(-2)) @ tangent.mT
        if layer.hidden is not None:
            back = (back * slope) @ layer.hidden
    return sdf, gradient, hessian


@cache
def _compiled() -> Callable[..., tuple[Tensor, Tensor]]:
    """:func:`closed_form`, compiled once a process."""
    return torch.compile(closed_form, dynamic=True)


def softplus(a: Float[Tensor, "*shape"], beta: float) -> Float[Tensor, "*shape"]:
    """log(1 + exp(beta a)) / beta, exact in double precision.

    torch takes the linear branch where beta a exceeds ``threshold``. At the default of 20 the error
    is 2e-9 / beta; at 40 the error is below the last digit.
    """
    return F.softplus(a, beta, threshold=40)


def _spectral_norm(matrix: Tensor | None) -> float:
    """The largest singular value, in double precision; 0 for no matrix."""
    return 0.0 if matrix is None else float(torch.linalg.matrix_norm(matrix.double(), 2))
