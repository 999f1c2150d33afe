"""The four passes over a block of rows: f, grad f, and the backward through each.

With b = -beta a and l = -beta h, h = softplus(a) reads l = log sigmoid(b): the perceptron is one
of log sigmoids, with -beta in its biases and coordinate columns and -1 / beta in its last row
(:func:`sharpened`). With q = sigmoid(b) = exp(l), 1 - q is the slope, and at every hidden layer:

    value            b = W l + c, l = min(b, log q) from the first layer to the last
    gradient         u = back (1 - q), back = u W from the last layer to the first
    gradient_back    du = bg W^T, bg = du (1 - q) from the first layer to the last
    value_back       db = bl - q (bl + u du), bl = db W from the last layer to the first

Only l and u are kept for the way back. The gradient of a matrix is u^T bg + db^T l.
Letters: R rows of a block, D dimension, O width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.fused.blocks import Block, Layer
from shapespace.decoders.fused.buffers import BufferPool

SATURATED = 40.0
"""exp(-40) is nothing beside 1 in double precision, and its square is no denormal in single."""
Totals = list[Tensor | None]
"""Sums over blocks: the gradients of (hidden, points, bias) of each layer, None if unwanted."""


def sharpened(layers: Sequence[Layer], beta: float) -> list[Layer]:
    """The perceptron of log sigmoids that equals ``layers`` with a softplus of ``beta``."""
    *hidden_layers, last = layers
    assert last.hidden is not None
    scaled = [
        Layer(hidden, None if points is None else points * -beta, bias * -beta)
        for hidden, points, bias in hidden_layers
    ]
    return [*scaled, Layer(last.hidden * (-1 / beta), None, last.bias)]


def log_sigmoid(b: Float[Tensor, "R O"], memory: BufferPool) -> tuple[Tensor, Tensor]:
    """(l, q) of the pre-activations, which l replaces: exact to 1e-7 in single precision."""
    q = torch.clamp(b, min=-SATURATED, out=memory.like(b)).sigmoid_()
    logarithm = torch.log(q, out=memory.like(b))
    torch.minimum(b, logarithm, out=b)
    memory.give(logarithm)
    return b, q


def exponential(log: Tensor, memory: BufferPool) -> Tensor:
    """Q from l, never denormal."""
    return torch.clamp(log, min=-SATURATED, out=memory.like(log)).exp_()


def value(
    layers: Sequence[Layer],
    x: Float[Tensor, "R D"],
    block: Block,
    dtype: torch.dtype,
    memory: BufferPool,
) -> tuple[list[Tensor], list[Tensor]]:
    """L and q of every hidden layer in ``dtype``, that of the matrices between them."""
    ls: list[Tensor] = []
    qs: list[Tensor] = []
    hidden = None
    for layer in layers[:-1]:
        hidden, q = log_sigmoid(_affine(layer, hidden, x, block, dtype, memory), memory)
        ls.append(hidden)
        qs.append(q)
    return ls, qs


def head(last: Layer, hidden: Float[Tensor, "R O"]) -> Float[Tensor, " R"]:
    """F from the last hidden layer, in the precision of the last row."""
    assert last.hidden is not None
    return torch.mv(hidden.to(last.hidden.dtype), last.hidden[0]) + last.bias


def _affine(
    layer: Layer,
    hidden: Tensor | None,
    x: Tensor,
    block: Block,
    dtype: torch.dtype,
    memory: BufferPool,
) -> Float[Tensor, "R O"]:
    """B of one layer; where x enters, summed in the precision of x."""
    kind = dtype if layer.points is None else x.dtype
    out = memory.take((len(x), layer.width), x, kind)
    bias = layer.bias[block.scans] if layer.by_scan else layer.bias
    out.view(-1, len(x) // bias[..., 0].numel(), layer.width).copy_(bias)
    for first, weight in ((x, layer.points), (hidden, layer.hidden)):
        if first is not None and weight is not None:
            _add_product(out, first, weight.mT)
    return memory.cast(out, dtype)


def _add_product(total: Tensor | None, a: Tensor, b: Tensor) -> None:
    """``total += a b``, if wanted."""
    if total is None:
        return
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total.add_(torch.mm(a, b))


def gradient(
    layers: Sequence[Layer], qs: Sequence[Tensor], memory: BufferPool
) -> tuple[Float[Tensor, "R D"], list[Tensor]]:
    """Grad f, and u of every hidden layer; the q are given back."""
    *hidden_layers, last = layers
    assert last.hidden is not None
    back = last.hidden.expand(len(qs[-1]), -1)
    us: list[Tensor] = []
    total: Tensor | None = None
    for layer, q in zip(reversed(hidden_layers), reversed(qs), strict=True):
        u = torch.addcmul(back, back, q, value=-1, out=memory.like(q))
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
    memory: BufferPool,
) -> list[Tensor]:
    """From d grad f: adds to ``totals``, returns du of every hidden layer."""
    dus: list[Tensor] = []
    bg: Tensor | None = None
    for index, (layer, q, u) in enumerate(zip(layers[:-1], qs, us, strict=True)):
        du = memory.like(q)
        if bg is None:
            assert layer.points is not None
            torch.mm(dg, layer.points.mT, out=du)
        else:
            assert layer.hidden is not None
            _add_product(totals[3 * index], u.mT, bg)
            torch.mm(bg, layer.hidden.mT, out=du)
            memory.give(bg)
            if layer.points is not None:
                du.addmm_(dg, layer.points.mT)
        if layer.points is not None:
            _add_product(totals[3 * index + 1], u.mT, dg)
        dus.append(du)
        bg = torch.addcmul(du, du, q, value=-1, out=memory.like(q))
    assert bg is not None
    last = totals[-3]
    if last is not None:
        last.add_(bg.sum(0))
    memory.give(bg)
    return dus


def value_back(
    layers: Sequence[Layer],
    ls: Sequence[Tensor],
    qs: Sequence[Tensor],
    u_dus: Sequence[tuple[Tensor, Tensor]],
    df: Float[Tensor, "R 1"],
    x: Float[Tensor, "R D"],
    dx: Float[Tensor, "R D"] | None,
    block: Block,
    totals: Totals,
    memory: BufferPool,
) -> None:
    """From df and (u, du) of every hidden layer or of none: adds to ``totals`` and ``dx``.

    Overwrites du.
    """
    *hidden_layers, last = layers
    assert last.hidden is not None
    if totals[-1] is not None:
        totals[-1].add_(df.sum())
    df = df.to(ls[-1].dtype)
    _add_product(totals[-3], df.mT, ls[-1])
    bl = torch.mul(df, last.hidden, out=memory.like(ls[-1]))
    for index in reversed(range(len(hidden_layers))):
        layer, q = hidden_layers[index], qs[index]
        lost = torch.addcmul(bl, *u_dus[index], out=u_dus[index][1]) if u_dus else bl
        db = torch.addcmul(bl, lost, q, value=-1, out=bl)
        _add_bias(totals[3 * index + 2], db, block)
        if layer.points is not None:
            _add_product(totals[3 * index + 1], db.mT, x.to(db.dtype))
            _add_product(dx, db, layer.points)
        if layer.hidden is not None:
            _add_product(totals[3 * index], db.mT, ls[index - 1])
            size = (len(db), layer.hidden.shape[1])
            bl = torch.mm(db, layer.hidden, out=memory.take(size, db, db.dtype))
        memory.give(db)


def _add_bias(total: Tensor | None, db: Float[Tensor, "R O"], block: Block) -> None:
    """The sum over the points of each scan where each has its own bias, else over all rows."""
    if total is None:
        return
    if total.dim() == 1:
        total.add_(db.sum(0))
    else:
        part = total[block.scans]
        part.add_(db.view(len(part), -1, db.shape[1]).sum(1, keepdim=True))
