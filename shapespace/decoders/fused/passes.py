"""The four passes over a block of points: f, grad f, and the backward pass through each.

**The perceptron.** A hidden layer maps the layer before it, h_0, and the point x to

    a = W h_0 + X x + c,    h = softplus(a) = log(1 + exp(beta a)) / beta,

and the last layer gives f = w h + c. X is there at the first layer and at the skip layer. c holds
the code z of the scan, whose columns see the same z at every point: that product is one a scan,
not one a point (:class:`~shapespace.decoders.fused.blocks.Layer`).

**Log sigmoids.** With b = -beta a, l = -beta h and q = sigmoid(b),

    l = -log(1 + exp(-b)) = log q,    dl/db = 1 - q,    q = exp(l).

The same perceptron has log sigmoids for softplus, -beta in front of X and c, and -1 / beta in front
of w (:func:`sharpened`). One exponential gives l and its slope, and l alone gives both back.

**The passes.** E is the loss, dv stands for dE/dv, and s = df/dl, u = df/db are the derivatives
that make up g = grad f. At each hidden layer, with l_0, s_0 those of the layer before it,

    value            b = W l_0 + X x + c      l = log sigmoid(b)         first layer to last
    gradient         u = s (1 - q)            s_0 = u W, g += u X        last layer to first
    gradient_back    du = W ds_0 + X dg       ds = du (1 - q)            first layer to last
    value_back       db = dl - q (dl + u du)  dl_0 = db W, dx += db X    last layer to first

At the last layer s = w. The last line joins two ways from b to E: dl (1 - q) through l, and
-q (1 - q) s du = -q u du through q, on which u depends, because dq/db = q (1 - q). The gradients of
the parameters are

    dW = u^T ds_0 + db^T l_0,    dX = u^T dg + db^T x,    dc = sum of db over the points.

**What is kept.** The backward passes read l, u and q. l and u are kept, two numbers for each neuron
and point. q is computed again as exp(l). b and s are not read at all, thanks to the form of db.

The slow oracle of these passes is :func:`shapespace.decoders.mlp.closed_form`.

Letters: R rows (points of a block), D dimension, O width. A matrix of the passes has a row for each
point, so that W h above is written ``h @ W.mT``.
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
"""Gradients of (W, X, c) of each layer, summed over blocks; None where not wanted."""


def sharpened(layers: Sequence[Layer], beta: float) -> list[Layer]:
    """The perceptron of log sigmoids that equals ``layers`` with a softplus of ``beta``."""
    *hidden_layers, last = layers
    assert last.hidden is not None
    scaled = [
        Layer(hidden, None if points is None else points * -beta, bias * -beta)
        for hidden, points, bias in hidden_layers
    ]
    return [*scaled, Layer(last.hidden * (-1 / beta), None, last.bias)]


def log_sigmoid(b: Float[Tensor, "R O"], pool: BufferPool) -> tuple[Tensor, Tensor]:
    """(l, q) of the pre-activations b, exact to 1e-7 in single precision. l overwrites b."""
    # Below -40, log sigmoid(b) is b to the last digit. The clamp keeps q and its square away from
    # denormal numbers, on which a CPU is many times slower; the minimum puts b back where the clamp
    # was at work, and elsewhere takes log q, which is the smaller one.
    q = torch.clamp(b, min=-SATURATED, out=pool.like(b)).sigmoid_()
    logarithm = torch.log(q, out=pool.like(b))
    torch.minimum(b, logarithm, out=b)
    pool.give(logarithm)
    return b, q


def exponential(log: Tensor, pool: BufferPool) -> Tensor:
    """q = exp(l), never denormal."""
    return torch.clamp(log, min=-SATURATED, out=pool.like(log)).exp_()


def value(
    layers: Sequence[Layer],
    x: Float[Tensor, "R D"],
    block: Block,
    dtype: torch.dtype,
    pool: BufferPool,
) -> tuple[list[Tensor], list[Tensor]]:
    """l and q of every hidden layer; the first pass.

    Args:
        layers: of the perceptron of log sigmoids, first to last.
        x: the points of the block.
        block: says which scans, and so which biases, the rows belong to.
        dtype: of l and q, and of the products with W.
        pool: of the buffers.
    """
    ls: list[Tensor] = []
    qs: list[Tensor] = []
    hidden = None
    for layer in layers[:-1]:
        b = _affine(layer, hidden, x, block=block, dtype=dtype, pool=pool)
        hidden, q = log_sigmoid(b, pool)
        ls.append(hidden)
        qs.append(q)
    return ls, qs


def head(last: Layer, hidden: Float[Tensor, "R O"]) -> Float[Tensor, " R"]:
    """f from l of the last hidden layer, in the precision of the last layer."""
    assert last.hidden is not None
    return torch.mv(hidden.to(last.hidden.dtype), last.hidden[0]) + last.bias


def _affine(
    layer: Layer,
    hidden: Tensor | None,
    x: Tensor,
    *,
    block: Block,
    dtype: torch.dtype,
    pool: BufferPool,
) -> Float[Tensor, "R O"]:
    """b of one layer in ``dtype``; where x enters, summed in the precision of x."""
    # Coordinates are multiplied and summed as they are; the sum may be rounded, the points not.
    kind = dtype if layer.points is None else x.dtype
    out = pool.take((len(x), layer.width), x, kind)
    # One bias for all rows, or one for the rows of each scan: the code enters here, once a scan.
    bias = layer.bias[block.scans] if layer.by_scan else layer.bias
    out.view(-1, len(x) // bias[..., 0].numel(), layer.width).copy_(bias)
    if layer.points is not None:
        _add_product(out, x, layer.points.mT)
    if hidden is not None and layer.hidden is not None:
        _add_product(out, hidden, layer.hidden.mT)
    return pool.cast(out, dtype)


def _add_product(total: Tensor | None, a: Tensor, b: Tensor) -> None:
    """``total += a b`` if total is wanted; a product in lower precision is added in total's own."""
    if total is None:
        return
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total.add_(torch.mm(a, b))


def gradient(
    layers: Sequence[Layer], qs: Sequence[Tensor], pool: BufferPool
) -> tuple[Float[Tensor, "R D"], list[Tensor]]:
    """grad f, and u of every hidden layer; gives the q back to the pool.

    Args:
        layers: of the perceptron of log sigmoids, first to last.
        qs: of every hidden layer.
        pool: of the buffers.
    """
    *hidden_layers, last = layers
    assert last.hidden is not None
    s = last.hidden.expand(len(qs[-1]), -1)
    us: list[Tensor] = []
    total: Tensor | None = None
    for layer, q in zip(reversed(hidden_layers), reversed(qs), strict=True):
        # u = s (1 - q) in one pass over the memory.
        u = torch.addcmul(s, s, q, value=-1, out=pool.like(q))
        pool.give(q)
        if us:  # the first s is a view of the last layer's weights, no buffer
            pool.give(s)
        us.append(u)
        # x enters at the first layer and at the skip layer: g has a part from each.
        if layer.points is not None:
            part = u @ layer.points
            total = part if total is None else total + part
        if layer.hidden is not None:
            size = (len(u), layer.hidden.shape[1])
            s = torch.mm(u, layer.hidden, out=pool.take(size, u, u.dtype))
    assert total is not None
    return total, us[::-1]


def gradient_back(
    layers: Sequence[Layer],
    qs: Sequence[Tensor],
    us: Sequence[Tensor],
    dg: Float[Tensor, "R D"],
    totals: Totals,
    pool: BufferPool,
) -> list[Tensor]:
    """du of every hidden layer, from dg; adds the gradients of the parameters to ``totals``.

    Args:
        layers: of the perceptron of log sigmoids, first to last.
        qs: of every hidden layer.
        us: of every hidden layer.
        dg: the derivative of the loss in grad f.
        totals: sums over blocks, changed in place.
        pool: of the buffers.
    """
    dus: list[Tensor] = []
    ds: Tensor | None = None
    for index, (layer, q, u) in enumerate(zip(layers[:-1], qs, us, strict=True)):
        du = pool.like(q)
        if ds is None:  # the first layer: no layer before it has an s
            assert layer.points is not None
            torch.mm(dg, layer.points.mT, out=du)
        else:
            assert layer.hidden is not None
            _add_product(totals[3 * index], u.mT, ds)
            torch.mm(ds, layer.hidden.mT, out=du)
            pool.give(ds)
            if layer.points is not None:
                du.addmm_(dg, layer.points.mT)
        if layer.points is not None:
            _add_product(totals[3 * index + 1], u.mT, dg)
        dus.append(du)
        # ds = du (1 - q). The other factor of u depends on b: value_back adds that way, from u and
        # du.
        ds = torch.addcmul(du, du, q, value=-1, out=pool.like(q))
    assert ds is not None
    # s of the last hidden layer is w at every point.
    of_last_weights = totals[-3]
    if of_last_weights is not None:
        of_last_weights.add_(ds.sum(0))
    pool.give(ds)
    return dus


def value_back(
    layers: Sequence[Layer],
    ls: Sequence[Tensor],
    qs: Sequence[Tensor],
    us: Sequence[Tensor],
    dus: Sequence[Tensor],
    df: Float[Tensor, "R 1"],
    x: Float[Tensor, "R D"],
    dx: Float[Tensor, "R D"] | None,
    block: Block,
    totals: Totals,
    pool: BufferPool,
) -> None:
    """The last pass: adds to ``totals`` and to ``dx``, overwrites ``dus``.

    Args:
        layers: of the perceptron of log sigmoids, first to last.
        ls: of every hidden layer.
        qs: of every hidden layer.
        us: of every hidden layer; not read where ``dus`` is empty.
        dus: of every hidden layer, from :func:`gradient_back`; empty if the loss does not depend on
            grad f in this block.
        df: the derivative of the loss in f.
        x: the points of the block.
        dx: the derivative of the loss in the points, changed in place; None if not wanted.
        block: says which scans, and so which biases, the rows belong to.
        totals: sums over blocks, changed in place.
        pool: of the buffers.
    """
    *hidden_layers, last = layers
    assert last.hidden is not None
    if totals[-1] is not None:
        totals[-1].add_(df.sum())
    df = df.to(ls[-1].dtype)
    _add_product(totals[-3], df.mT, ls[-1])
    dl = torch.mul(df, last.hidden, out=pool.like(ls[-1]))
    for index in reversed(range(len(hidden_layers))):
        layer = hidden_layers[index]
        # db = dl - q (dl + u du). The sum in brackets goes into the buffer of du and db into that
        # of dl, because neither is read again.
        both = torch.addcmul(dl, us[index], dus[index], out=dus[index]) if dus else dl
        db = torch.addcmul(dl, both, qs[index], value=-1, out=dl)
        _add_bias(totals[3 * index + 2], db, block)
        if layer.points is not None:
            _add_product(totals[3 * index + 1], db.mT, x.to(db.dtype))
            _add_product(dx, db, layer.points)
        if layer.hidden is not None:
            # dW is complete with this half: gradient_back has added u^T ds_0.
            _add_product(totals[3 * index], db.mT, ls[index - 1])
            size = (len(db), layer.hidden.shape[1])
            dl = torch.mm(db, layer.hidden, out=pool.take(size, db, db.dtype))
        pool.give(db)


def _add_bias(total: Tensor | None, db: Float[Tensor, "R O"], block: Block) -> None:
    """Add dc: the sum over the points of each scan where each has its own bias, else of all rows.

    From the bias of a scan autograd goes on to the code, with one product a scan.
    """
    if total is None:
        return
    if total.dim() == 1:
        total.add_(db.sum(0))
    else:
        part = total[block.scans]
        part.add_(db.view(len(part), -1, db.shape[1]).sum(1, keepdim=True))
