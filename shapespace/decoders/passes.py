"""The four passes over a block of rows: f, grad f, and the backward through each.

With a = W h + c, h = softplus(a), q = 1 - softplus'(a) = exp(-beta h) at every layer:

    value            h, q from the first layer to the last
    gradient         u = back (1 - q), back = u W from the last layer to the first
    gradient_back    du = bg W^T, bg = du (1 - q) from the first layer to the last
    value_back       da = bh (1 - q) + beta q u du, bh = da W from the last layer to the first

Only h and u are kept for the way back. The gradient of a matrix is u^T bg + da^T h. The passes but
the first work in the precision of the matrices that they are given.
Letters: R rows of a block, D dimension, O width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.layers import Block, Layer
from shapespace.decoders.memory import Memory

SATURATED = 40.0
"""exp(-40) is nothing beside 1 in double precision, and its square is no denormal in single."""

Totals = list[Tensor | None]
"""Sums over blocks: the gradients of (hidden, points, bias) of each layer, None if unwanted."""


def softplus(a: Tensor, beta: float, memory: Memory) -> tuple[Tensor, Tensor]:
    """(h, q) of pre-activations [R,O]: softplus and one minus its derivative, without a branch.

    q = sigmoid(-beta a) and h = max(a, -log(q) / beta): exact to 1e-9 in single precision.
    """
    q = torch.mul(a, -beta, out=memory.take(tuple(a.shape), a, a.dtype))
    q.clamp_(min=-SATURATED).sigmoid_()
    h = torch.log(q, out=memory.take(tuple(a.shape), a, a.dtype)).mul_(-1 / beta)
    return torch.maximum(h, a, out=h), q


def value(
    layers: Sequence[Layer], x: Float[Tensor, "R D"], block: Block, beta: float, memory: Memory
) -> tuple[Float[Tensor, " R"], list[Tensor], list[Tensor]]:
    """F, and h and q of every hidden layer."""
    *hidden_layers, last = layers
    hs: list[Tensor] = []
    qs: list[Tensor] = []
    hidden = None
    for layer in hidden_layers:
        a = _affine(layer, hidden, x, block, memory)
        hidden, q = softplus(a, beta, memory)
        memory.give(a)
        hs.append(hidden)
        qs.append(q)
    assert last.hidden is not None and hidden is not None
    return torch.mv(hidden, last.hidden[0]) + last.bias, hs, qs


def _affine(
    layer: Layer, hidden: Tensor | None, x: Tensor, block: Block, memory: Memory
) -> Float[Tensor, "R O"]:
    out = memory.take((len(x), layer.width), x, x.dtype)
    bias = layer.bias[block.scans] if layer.by_scan else layer.bias
    shared = bias.reshape(-1) if bias.numel() == layer.width else None
    first, weight = (x, layer.points) if hidden is None else (hidden, layer.hidden)
    assert weight is not None
    if shared is None:
        _product(first, weight.mT, out).view(len(bias), -1, layer.width).add_(bias)
    elif weight.dtype == x.dtype:
        torch.addmm(shared, first, weight.mT, out=out)
    else:
        _product(first, weight.mT, out).add_(shared)
    if hidden is not None and layer.points is not None:
        out.addmm_(x, layer.points.mT)
    return out


def _product(a: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """``a @ weight`` in the precision of ``weight``, written to ``out``."""
    if weight.dtype == out.dtype == a.dtype:
        return torch.mm(a, weight, out=out)
    return out.copy_(torch.mm(a.to(weight.dtype), weight))


def gradient(
    layers: Sequence[Layer], qs: Sequence[Tensor], memory: Memory
) -> tuple[Float[Tensor, "R D"], list[Tensor]]:
    """Grad f, and u of every hidden layer; the q are given back."""
    *hidden_layers, last = layers
    assert last.hidden is not None
    back = last.hidden.expand(len(qs[-1]), -1)
    us: list[Tensor] = []
    total: Tensor | None = None
    for layer, q in zip(reversed(hidden_layers), reversed(qs), strict=True):
        u = torch.addcmul(back, back, q, value=-1, out=memory.take(tuple(q.shape), q, q.dtype))
        memory.give(q, *([back] if us else []))
        us.append(u)
        if layer.points is not None:
            part = u @ layer.points
            total = part if total is None else total + part
        if layer.hidden is not None:
            size = (len(u), layer.hidden.shape[1])
            back = torch.mm(u, layer.hidden, out=memory.take(size, u, u.dtype))
    assert total is not None
    return total, us[::-1]


def gradient_back(
    layers: Sequence[Layer],
    qs: Sequence[Tensor],
    us: Sequence[Tensor],
    dg: Float[Tensor, "R D"],
    totals: Totals,
    memory: Memory,
) -> list[Tensor]:
    """From d grad f: adds to ``totals``, returns q du of every hidden layer."""
    *hidden_layers, _ = layers
    flows: list[Tensor] = []
    bg: Tensor | None = None
    for index, (layer, q, u) in enumerate(zip(hidden_layers, qs, us, strict=True)):
        du = memory.take(tuple(q.shape), q, q.dtype)
        if bg is None:
            assert layer.points is not None
            torch.mm(dg, layer.points.mT, out=du)
        else:
            assert layer.hidden is not None
            _add_outer(totals[3 * index], u, bg)
            torch.mm(bg, layer.hidden.mT, out=du)
            memory.give(bg)
            if layer.points is not None:
                du.addmm_(dg, layer.points.mT)
        if layer.points is not None:
            _add_outer(totals[3 * index + 1], u, dg)
        flow = torch.mul(du, q, out=memory.take(tuple(q.shape), q, q.dtype))
        flows.append(flow)
        bg = du.sub_(flow)
    assert bg is not None
    last = totals[-3]
    if last is not None:
        last.add_(bg.sum(0, dtype=last.dtype))
    memory.give(bg)
    return flows


def value_back(
    layers: Sequence[Layer],
    hs: Sequence[Tensor],
    qs: Sequence[Tensor],
    sources: Sequence[Tensor],
    df: Float[Tensor, "R 1"],
    x: Float[Tensor, "R D"],
    block: Block,
    totals: Totals,
    memory: Memory,
) -> Float[Tensor, "R D"]:
    """Dx from df and ``sources``, beta q u du of every hidden layer or none; adds to ``totals``."""
    *hidden_layers, last = layers
    assert last.hidden is not None
    if totals[-1] is not None:
        totals[-1].add_(df.sum())
    df = df.to(hs[-1].dtype)
    _add_outer(totals[-3], df, hs[-1])
    bh = df * last.hidden
    dx = torch.zeros_like(x)
    for index in reversed(range(len(hidden_layers))):
        layer, q = hidden_layers[index], qs[index]
        da = torch.addcmul(bh, bh, q, value=-1, out=memory.take(tuple(q.shape), q, q.dtype))
        memory.give(bh)
        if sources:
            da.add_(sources[index])
        _add_bias(totals[3 * index + 2], da, block)
        if layer.points is not None:
            _add_outer(totals[3 * index + 1], da, x.to(da.dtype))
            dx += (da @ layer.points).to(dx.dtype)
        if layer.hidden is not None:
            _add_outer(totals[3 * index], da, hs[index - 1])
            size = (len(da), layer.hidden.shape[1])
            bh = torch.mm(da, layer.hidden, out=memory.take(size, da, da.dtype))
        memory.give(da)
    return dx


def _add_outer(total: Tensor | None, a: Tensor, b: Tensor) -> None:
    """``total += a^T b``, if wanted."""
    if total is None:
        return
    if a.dtype == total.dtype:
        total.addmm_(a.mT, b)
    else:
        total.add_(torch.mm(a.mT, b))


def _add_bias(total: Tensor | None, da: Float[Tensor, "R O"], block: Block) -> None:
    """The sum over the points of each scan where each has its own bias, else over all rows."""
    if total is None:
        return
    if total.dim() == 1:
        total.add_(da.sum(0, dtype=total.dtype))
    else:
        part = total[block.scans]
        part.add_(da.view(len(part), -1, da.shape[1]).sum(1, keepdim=True, dtype=total.dtype))
