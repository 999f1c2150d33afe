"""f and grad f of a softplus perceptron as one step of autograd, with a backward written by hand.

The step can be differentiated once: in the matrices, the biases and the points. A second time
raises; :mod:`shapespace.decoders.derivatives` has second derivatives. Autograd alone
would build a graph of a graph. The work goes block by block, so that what is not kept for the
backward pass stays in the cache. The formulas stand in :mod:`shapespace.decoders.fused.passes`.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length, O width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Precision
from shapespace.decoders.fused.blocks import Block, Layer, blocks
from shapespace.decoders.fused.buffers import BufferPool
from shapespace.decoders.fused.passes import (
    exponential,
    gradient,
    gradient_back,
    head,
    sharpened,
    value,
    value_back,
)
from shapespace.errors import InputError


class Options(NamedTuple):
    """All that an evaluation needs beside its tensors.

    Args:
        beta: sharpness of the softplus.
        precision: of the matrix products.
        pool: of the buffers of a training step.
    """

    beta: float
    precision: Precision
    pool: BufferPool

    def value_type(self, dtype: torch.dtype, wanted: bool) -> torch.dtype:
        """Type of the products of the value pass, where f is wanted and where it is not."""
        low = self.precision == "bfloat16" or (self.precision == "mixed" and not wanted)
        return torch.bfloat16 if low else dtype

    def gradient_type(self, dtype: torch.dtype) -> torch.dtype:
        """Type of the products of the other three passes."""
        return torch.bfloat16 if self.precision in ("mixed", "bfloat16") else dtype


def fused_value_and_gradient(
    points: Float[Tensor, "B N D"],
    layers: Sequence[Layer],
    options: Options,
    *,
    gradient_from: int,
    value_until: int,
) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
    """f at ``points[:, :value_until]`` and grad f at ``points[:, gradient_from:]``.

    Args:
        points: of each scan.
        layers: first to last; the last has one neuron.
        options: beta, precision and buffers.
        gradient_from: the first point whose gradient is wanted.
        value_until: the first point whose value is not wanted any more.
    """
    tensors = [tensor for layer in sharpened(layers, options.beta) for tensor in layer]
    needed = any(tensor.requires_grad for tensor in (points, *tensors) if tensor is not None)
    keep = needed and torch.is_grad_enabled()
    if not keep:
        # An evaluation has a pool of its own that ends with it: its sizes are not those of the
        # training.
        options = options._replace(pool=BufferPool())
    width = layers[0].width
    cut = list(blocks(points, width, gradient_from=gradient_from, value_until=value_until))
    sdf, slope = _Fused.apply(points, options, cut, keep, *tensors)
    return sdf[:, :value_until], slope[:, gradient_from:]


@torch.no_grad()
def fused_jacobian(
    points: Float[Tensor, "B N D"],
    layers: Sequence[Layer],
    columns: Mapping[int, Float[Tensor, "O L"]],
    options: Options,
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
    """f, grad f and df/dz, from one value pass and one gradient pass.

    A change of the code moves b of a layer by its code columns, and u is df/db: df/dz of each point
    is u times these columns, summed over the layers that see the code.

    Args:
        points: of each scan.
        layers: first to last; the last has one neuron.
        columns: the code columns of the layers that see the code, by the number of the layer.
        options: beta, precision and buffers.
    """
    layers = sharpened(layers, options.beta)
    pool = BufferPool()
    columns = {index: matrix * -options.beta for index, matrix in columns.items()}
    num_points = points.shape[1]
    length = next(iter(columns.values())).shape[1]
    sdf = points.new_empty(points.shape[:2])
    slope = torch.empty_like(points)
    jacobian = points.new_empty(*points.shape[:2], length)
    for block in blocks(points, layers[0].width, gradient_from=0, value_until=num_points):
        x = block.rows(points)
        ls, qs = value(layers, x, block=block, dtype=points.dtype, pool=pool)
        block.put(sdf, head(layers[-1], ls[-1]))
        pool.give_all(ls)
        gradient_rows, us = gradient(layers, qs, pool)
        block.put(slope, gradient_rows)
        parts = [us[index] @ matrix for index, matrix in columns.items()]
        block.put(jacobian, sum(parts[1:], start=parts[0]))
        pool.give_all(us)
    return sdf, slope, jacobian


class _Fused(torch.autograd.Function):
    """f and grad f at all points; zero where ``cut`` does not want them."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        options: Options,
        cut: Sequence[Block],
        keep: bool,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """``tensors`` are (W, X, c) of each layer; ``keep`` says that a backward pass may come."""
        layers = _layers(tensors)
        pool = options.pool
        # Matrices are rounded once a step, not once a block: for the value pass where f is wanted
        # and where it is not, and for the other three passes.
        types = {wanted: options.value_type(points.dtype, wanted) for wanted in (True, False)}
        exact = {wanted: _typed(layers, dtype) for wanted, dtype in types.items()}
        low_type = options.gradient_type(points.dtype)
        low = _typed(layers, low_type, coordinates=True)
        sdf = points.new_zeros(points.shape[:2])
        slope = torch.zeros_like(points)
        # A part that the loss does not contain comes as None in place of zeros: its pass is left
        # out.
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, *tensors)
        ctx.options = options
        ctx.cut = cut
        ctx.low = low
        ctx.lease = pool.lease()
        with _products(options.precision):
            for block in cut:
                chosen = exact[block.value]
                x = block.rows(points)
                ls, qs = value(chosen, x, block=block, dtype=types[block.value], pool=pool)
                if block.value:
                    block.put(sdf, head(chosen[-1], ls[-1]))
                # f is computed. All that follows, and all that is kept, is in the lower precision.
                ls = [pool.cast(each, low_type) for each in ls]
                us: list[Tensor] = []
                if block.slope:
                    qs = [pool.cast(each, low_type) for each in qs]
                    g, us = gradient(low, qs, pool)
                    block.put(slope, g)
                else:
                    pool.give_all(qs)
                if keep:
                    ctx.lease.blocks.append((ls, us))
                else:
                    pool.give_all(ls)
                    pool.give_all(us)
        return sdf, slope

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Derivatives in the points and in ``tensors``, from those in f and grad f."""
        with torch.no_grad():
            found = _Fused.derivatives(ctx, *grad_outputs)
        return _last(found) if torch.is_grad_enabled() else found

    @staticmethod
    def derivatives(
        ctx: Any, df: Tensor | None, dslope: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """The derivatives of :meth:`backward`, without a graph.

        Args:
            ctx: what the forward pass kept.
            df: derivatives in f.
            dslope: derivatives in grad f.
        """
        points, *tensors = ctx.saved_tensors
        df = (points.new_zeros(points.shape[:2]) if df is None else df).unsqueeze(-1)
        pool = ctx.options.pool
        totals = [
            torch.zeros_like(tensor) if wanted and tensor is not None else None
            for tensor, wanted in zip(tensors, ctx.needs_input_grad[4:], strict=True)
        ]
        dpoints = torch.zeros_like(points) if ctx.needs_input_grad[0] else None
        with _products(ctx.options.precision):
            for block, (ls, us) in zip(ctx.cut, ctx.lease.blocks, strict=True):
                # An exponential costs less than the memory of one more number a neuron.
                qs = [exponential(each, pool) for each in ls]
                dus: list[Tensor] = []
                if dslope is not None and block.slope:
                    dg = block.rows(dslope).to(ls[0].dtype)
                    dus = gradient_back(ctx.low, qs, us, dg=dg, totals=totals, pool=pool)
                x = block.rows(points)
                dx = None if dpoints is None else torch.zeros_like(x)
                value_back(
                    ctx.low,
                    ls=ls,
                    qs=qs,
                    us=us,
                    dus=dus,
                    df=block.rows(df),
                    x=x,
                    dx=dx,
                    block=block,
                    totals=totals,
                    pool=pool,
                )
                pool.give_all(qs)
                pool.give_all(dus)
                if dpoints is not None and dx is not None:
                    block.put(dpoints, dx)
        return (dpoints, None, None, None, *totals)


class _Last(torch.autograd.Function):
    """The identity, which raises when it is differentiated."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Copies of ``tensors`` that seem to depend on something."""
        return tuple(tensor.clone() for tensor in tensors)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Raise InputError."""
        raise InputError(
            "value_and_gradient of a fused decoder was differentiated twice, which its kernel "
            "cannot do: take second derivatives from shapespace.decoders.derivatives "
            "(value_gradient_hessian, laplacian, hessian_vector)"
        )


def _last(found: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Derivatives that raise when they are differentiated, in place of seeming constant.

    torch's ``once_differentiable`` raises only where the incoming derivatives have a graph. The
    gradient of grad f, the Hessian, has incoming derivatives of ones: as a loss it would silently
    have no gradient.
    """
    # autograd records a function only if an input wants a gradient.
    wanting = [tensor.detach().requires_grad_() for tensor in found if tensor is not None]
    marked = iter(_Last.apply(*wanting))
    return tuple(None if tensor is None else next(marked) for tensor in found)


def _layers(tensors: Sequence[Any]) -> list[Layer]:
    """The layers again from their tensors in a row, the form that autograd knows."""
    return [Layer(*tensors[start : start + 3]) for start in range(0, len(tensors), 3)]


def _typed(layers: Sequence[Layer], dtype: torch.dtype, coordinates: bool = False) -> list[Layer]:
    """The layers with their matrices W in ``dtype``; X and the last layer only if ``coordinates``.

    The value pass keeps X as it is: bfloat16 has three digits, and would move the points.
    """

    def typed(matrix: Tensor | None, change: bool) -> Tensor | None:
        return matrix.to(dtype) if matrix is not None and change else matrix

    *hidden, last = layers
    changed = [Layer(typed(h, True), typed(p, coordinates), bias) for h, p, bias in hidden]
    return [*changed, Layer(typed(last.hidden, coordinates), None, last.bias)]


@contextmanager
def _products(precision: Precision) -> Iterator[None]:
    """Use TensorFloat-32 if ``precision`` says so; the setting of the process comes back after."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
