"""f and grad f of a softplus perceptron as one step of autograd, its backward written by hand.

Differentiable once, in the matrices, the biases and the points. Works block by block, so that what
is not kept for the backward stays in the cache. Letters: B scans, N points a scan, D dimension.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

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


class Options(NamedTuple):
    """What a pass needs beside its tensors. beta: of the softplus."""

    beta: float
    precision: Precision
    memory: BufferPool

    def value_type(self, dtype: torch.dtype, wanted: bool) -> torch.dtype:
        """Precision of the products of the first pass, where f is wanted and where it is not."""
        low = self.precision == "bfloat16" or (self.precision == "mixed" and not wanted)
        return torch.bfloat16 if low else dtype

    def gradient_type(self, dtype: torch.dtype) -> torch.dtype:
        """Precision of all other products."""
        return torch.bfloat16 if self.precision in ("mixed", "bfloat16") else dtype


def fused_value_and_gradient(
    points: Float[Tensor, "B N D"],
    layers: Sequence[Layer],
    options: Options,
    *,
    gradient_from: int,
    value_until: int,
) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
    """F at ``points[:, :value_until]`` and grad f at ``points[:, gradient_from:]``.

    ``layers`` from the first to the last, which has one neuron.
    """
    tensors = [tensor for layer in sharpened(layers, options.beta) for tensor in layer]
    wanted = any(tensor.requires_grad for tensor in (points, *tensors) if tensor is not None)
    keep = wanted and torch.is_grad_enabled()
    if not keep:
        options = options._replace(memory=BufferPool())
    cut = list(
        blocks(points, layers[0].width, gradient_from=gradient_from, value_until=value_until)
    )
    sdf, slope = _Fused.apply(points, options, cut, keep, *tensors)
    return sdf[:, :value_until], slope[:, gradient_from:]


@torch.no_grad()
def fused_jacobian(
    points: Float[Tensor, "B N D"],
    layers: Sequence[Layer],
    columns: Mapping[int, Float[Tensor, "O L"]],
    options: Options,
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
    """F, grad f and df/dz, from one way there and one back.

    columns: those of the code in the layers that see it, by the number of the layer.
    """
    layers, memory = sharpened(layers, options.beta), BufferPool()
    columns = {index: matrix * -options.beta for index, matrix in columns.items()}
    num_points = points.shape[1]
    length = next(iter(columns.values())).shape[1]
    sdf, slope = points.new_empty(points.shape[:2]), torch.empty_like(points)
    jacobian = points.new_empty(*points.shape[:2], length)
    for block in blocks(points, layers[0].width, gradient_from=0, value_until=num_points):
        ls, qs = value(layers, block.rows(points), block, points.dtype, memory)
        block.put(sdf, head(layers[-1], ls[-1]))
        memory.give(*ls)
        gradient_rows, us = gradient(layers, qs, memory)
        block.put(slope, gradient_rows)
        parts = [us[index] @ matrix for index, matrix in columns.items()]
        block.put(jacobian, sum(parts[1:], start=parts[0]))
        memory.give(*us)
    return sdf, slope, jacobian


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        options: Options,
        cut: Sequence[Block],
        keep: bool,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        layers, memory = _layers(tensors), options.memory
        types = {want: options.value_type(points.dtype, want) for want in (True, False)}
        exact = {want: _typed(layers, dtype) for want, dtype in types.items()}
        low_type = options.gradient_type(points.dtype)
        low = _typed(layers, low_type, coordinates=True)
        sdf, slope = points.new_zeros(points.shape[:2]), torch.zeros_like(points)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, *tensors)
        ctx.options, ctx.cut, ctx.low, ctx.lease = options, cut, low, memory.lease()
        with _products(options.precision):
            for block in cut:
                chosen, dtype = exact[block.value], types[block.value]
                ls, qs = value(chosen, block.rows(points), block, dtype, memory)
                if block.value:
                    block.put(sdf, head(chosen[-1], ls[-1]))
                ls, us = [memory.cast(each, low_type) for each in ls], []
                if block.slope:
                    qs = [memory.cast(each, low_type) for each in qs]
                    g, us = gradient(low, qs, memory)
                    block.put(slope, g)
                else:
                    memory.give(*qs)
                if keep:
                    ctx.lease.blocks.append([ls, us])
                else:
                    memory.give(*ls, *us)
        return sdf, slope

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        df, dslope = grad_outputs
        points, *tensors = ctx.saved_tensors
        df = points.new_zeros(points.shape[:2]) if df is None else df
        options, memory = ctx.options, ctx.options.memory
        totals = [
            torch.zeros_like(tensor) if wanted and tensor is not None else None
            for tensor, wanted in zip(tensors, ctx.needs_input_grad[4:], strict=True)
        ]
        dpoints = torch.zeros_like(points) if ctx.needs_input_grad[0] else None
        with _products(options.precision):
            for block, (ls, us) in zip(ctx.cut, ctx.lease.blocks, strict=True):
                qs = [exponential(each, memory) for each in ls]
                dus: list[Tensor] = []
                if dslope is not None and block.slope:
                    dg = block.rows(dslope).to(ls[0].dtype)
                    dus = gradient_back(ctx.low, qs, us, dg, totals, memory)
                u_dus = list(zip(us, dus, strict=True)) if dus else []
                x = block.rows(points)
                dx = None if dpoints is None else torch.zeros_like(x)
                ends = block.rows(df.unsqueeze(-1)), x, dx
                value_back(ctx.low, ls, qs, u_dus, *ends, block, totals, memory)
                memory.give(*qs, *dus)
                if dpoints is not None and dx is not None:
                    block.put(dpoints, dx)
        return (dpoints, None, None, None, *totals)


def _layers(tensors: Sequence[Any]) -> list[Layer]:
    return [Layer(*tensors[start : start + 3]) for start in range(0, len(tensors), 3)]


def _typed(layers: Sequence[Layer], dtype: torch.dtype, coordinates: bool = False) -> list[Layer]:
    """The layers with their matrices in ``dtype``; those that coordinates meet only if asked."""

    def typed(matrix: Tensor | None, change: bool) -> Tensor | None:
        return matrix.to(dtype) if matrix is not None and change else matrix

    *hidden, last = layers
    changed = [Layer(typed(h, True), typed(p, coordinates), bias) for h, p, bias in hidden]
    return [*changed, Layer(typed(last.hidden, coordinates), None, last.bias)]


@contextmanager
def _products(precision: Precision) -> Iterator[None]:
    """TensorFloat-32 where it was asked for, whatever the process does otherwise."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
