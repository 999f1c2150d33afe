"""f and grad f of a softplus perceptron as one step of autograd, its backward written by hand.

Differentiable once, in the matrices, the biases and the points. Works block by block, so that what
is not kept for the backward stays in the cache. Letters: B scans, N points a scan, D dimension.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from shapespace.decoders.base import Precision
from shapespace.decoders.layers import Layer, blocks
from shapespace.decoders.memory import Lease, Memory
from shapespace.decoders.passes import gradient, gradient_back, value, value_back


class Options(NamedTuple):
    """What a pass needs beside its tensors. beta: of the softplus."""

    beta: float
    precision: Precision
    memory: Memory

    def value_type(self, dtype: torch.dtype) -> torch.dtype:
        """Precision of the products of f."""
        return torch.bfloat16 if self.precision == "bfloat16" else dtype

    def gradient_type(self, dtype: torch.dtype) -> torch.dtype:
        """Precision of all other products."""
        return torch.bfloat16 if self.precision in ("mixed", "bfloat16") else dtype


def evaluate(
    points: Float[Tensor, "B N D"], layers: Sequence[Layer], options: Options
) -> Float[Tensor, "B N"]:
    """F alone."""
    return _apply(points, layers, options, False)[0]


def evaluate_with_gradient(
    points: Float[Tensor, "B N D"], layers: Sequence[Layer], options: Options
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
    """F and grad f; ``layers`` from the first to the last, which has one neuron."""
    return _apply(points, layers, options, True)


def _apply(points: Tensor, layers: Sequence[Layer], options: Options, slope: bool) -> Any:
    tensors = [tensor for layer in layers for tensor in layer]
    wanted = any(tensor.requires_grad for tensor in (points, *tensors) if tensor is not None)
    keep = wanted and torch.is_grad_enabled()
    if not keep:
        options = options._replace(memory=Memory())
    return _Fused.apply(points, options, slope, keep, *tensors)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        options: Options,
        with_slope: bool,
        keep: bool,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        layers, memory = _layers(tensors), options.memory
        exact = _typed(layers, options.value_type(points.dtype))
        low = _typed(layers, options.gradient_type(points.dtype), coordinates=True)
        sdf = points.new_empty(points.shape[:2])
        slope = torch.empty_like(points) if with_slope else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, *tensors)
        ctx.options, ctx.low, ctx.lease = options, low, Lease(memory)
        with _products(options.precision):
            for block in blocks(points, layers[0].width):
                f, hs, qs = value(exact, block.rows(points), block, options.beta, memory)
                block.put(sdf, f)
                hs, us = _lowered(hs, low, memory), []
                if slope is None:
                    memory.give(*qs)
                else:
                    g, us = gradient(low, _lowered(qs, low, memory), memory)
                    block.put(slope, g)
                if keep:
                    ctx.lease.blocks.append([hs, us])
                else:
                    memory.give(*hs, *us)
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
            cut = blocks(points, _layers(tensors)[0].width)
            for block, (hs, us) in zip(cut, ctx.lease.blocks, strict=True):
                qs = [_decay(h, options.beta, memory) for h in hs]
                sources: list[Tensor] = []
                if dslope is not None:
                    dg = block.rows(dslope).to(hs[0].dtype)
                    sources = gradient_back(ctx.low, qs, us, dg, totals, memory)
                    for source, u in zip(sources, us, strict=True):
                        source.mul_(u).mul_(options.beta)
                ends = block.rows(df.unsqueeze(-1)), block.rows(points)
                dx = value_back(ctx.low, hs, qs, sources, *ends, block, totals, memory)
                memory.give(*qs, *sources)
                if dpoints is not None:
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


def _lowered(tensors: list[Tensor], low: Sequence[Layer], memory: Memory) -> list[Tensor]:
    """The same numbers in the precision of the matrices ``low``."""
    assert low[-1].hidden is not None
    dtype = low[-1].hidden.dtype
    if tensors[0].dtype == dtype:
        return tensors
    copies = [memory.take(tuple(t.shape), t, dtype).copy_(t) for t in tensors]
    memory.give(*tensors)
    return copies


def _decay(h: Tensor, beta: float, memory: Memory) -> Tensor:
    """Q = exp(-beta h), one minus the derivative of the softplus."""
    return torch.mul(h, -beta, out=memory.take(tuple(h.shape), h, h.dtype)).exp_()


@contextmanager
def _products(precision: Precision) -> Iterator[None]:
    """TensorFloat-32 where it was asked for, whatever the process does otherwise."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
