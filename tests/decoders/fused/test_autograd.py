"""The backward written by hand against closed form and autograd, in every way it may be used."""

import copy
import math
import pickle

import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.decoders.base import gradient_by_autograd
from shapespace.decoders.fused import blocks as layers
from shapespace.decoders.fused.buffers import LEASES_KEPT, BufferPool
from shapespace.decoders.fused.passes import exponential, log_sigmoid
from shapespace.decoders.mlp import closed_form

SIZES = [(5, 3, 2), (0, 3, 2), (5, 2, 0), (5, 3, 4)]
SHAPES = [(3, 7), (1, 50), (2, 0)]


def make(latent_size=5, dimension=3, skip=2, dtype=torch.float64, **options):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, dimension, width=24, depth=5, skip=skip, **options).to(dtype)
    for linear in decoder.linears():
        torch.nn.init.normal_(linear.bias, 0, 0.1)
    return decoder


def inputs(decoder, num_scans=3, num_points=7):
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(num_scans, num_points, decoder.dimension, generator=generator)
    latent = 0.3 * torch.randn(num_scans, decoder.latent_size, generator=generator)
    dtype = decoder.linears()[0].weight.dtype
    return points.to(dtype).requires_grad_(), latent.to(dtype).requires_grad_()


def loss(sdf, gradient):
    return (
        (gradient.norm(dim=-1) - 1).square().sum() + (sdf.abs() * 2).sum() + gradient[..., 0].sum()
    )


def derivatives(method, decoder, points, latent):
    wanted = [points, latent, *decoder.parameters()]
    sdf, gradient = method(points, latent)
    found = torch.autograd.grad(loss(sdf, gradient), wanted, allow_unused=True)
    zeros = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
    return [sdf, gradient, *zeros]


@pytest.fixture(params=[1 << 18, 100, 24])
def block_elements(request, monkeypatch):
    """Blocks of everything, of a few points, of one point."""
    monkeypatch.setattr(layers, "BLOCK_ELEMENTS", request.param)


@pytest.mark.usefixtures("block_elements")
@pytest.mark.parametrize(("latent_size", "dimension", "skip"), SIZES)
@pytest.mark.parametrize(("num_scans", "num_points"), SHAPES)
def test_all_derivatives_equal_those_of_the_closed_form(
    latent_size, dimension, skip, num_scans, num_points
):
    decoder = make(latent_size, dimension, skip)
    points, latent = inputs(decoder, num_scans, num_points)
    by_hand = derivatives(decoder.value_and_gradient, decoder, points, latent)
    oracle = derivatives(
        lambda x, z: closed_form(x, decoder._fold(z), decoder.beta), decoder, points, latent
    )
    for ours, theirs in zip(by_hand, oracle, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("block_elements")
@pytest.mark.parametrize("gradient_from", [0, 3, 7])
@pytest.mark.parametrize("value_until", [0, 2, 5, 7])
def test_what_is_not_asked_for_changes_nothing_else(gradient_from, value_until):
    decoder = make()
    points, latent = inputs(decoder)
    asked = {"gradient_from": gradient_from, "value_until": value_until}

    def some(x, z):
        return decoder.value_and_gradient(x, z, **asked)

    def all_of_them(x, z):
        sdf, gradient = gradient_by_autograd(decoder, x, z)
        return sdf[:, :value_until], gradient[:, gradient_from:]

    def by_autograd(x, z):
        return gradient_by_autograd(decoder, x, z, **asked)

    found = [derivatives(way, decoder, points, latent) for way in (some, all_of_them, by_autograd)]
    for ours, oracle, default in zip(*found, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(default, oracle, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("part", [0, 1])
def test_a_loss_of_f_alone_or_of_its_gradient_alone(part):
    decoder = make()
    points, latent = inputs(decoder)
    ways = (
        decoder.value_and_gradient,
        lambda x, z: closed_form(x, decoder._fold(z), decoder.beta),
    )
    found = []
    for way in ways:
        target = way(points, latent)[part].square().sum()
        wanted = [points, latent, *decoder.parameters()]
        found.append(torch.autograd.grad(target, wanted, allow_unused=True))
    for ours, oracle in zip(*found, strict=True):
        oracle = torch.zeros_like(ours) if oracle is None else oracle
        torch.testing.assert_close(ours, oracle, rtol=1e-10, atol=1e-10)


def test_a_frozen_decoder_still_gives_the_gradient_of_the_codes():
    decoder = make()
    points, latent = inputs(decoder)
    (full,) = torch.autograd.grad(loss(*decoder.value_and_gradient(points, latent)), latent)
    decoder.requires_grad_(False)
    (frozen,) = torch.autograd.grad(loss(*decoder.value_and_gradient(points, latent)), latent)
    torch.testing.assert_close(frozen, full, rtol=0, atol=0)


def test_a_kept_graph_can_be_differentiated_again_and_beside_others():
    decoder = make()
    points, latent = inputs(decoder)
    one = loss(*decoder.value_and_gradient(points, latent))
    other = loss(*decoder.value_and_gradient(points * 0.5, latent))
    grads = [
        torch.autograd.grad(value, latent, retain_graph=True)[0] for value in (one, other, one)
    ]
    torch.testing.assert_close(grads[0], grads[2], rtol=0, atol=0)
    assert not torch.equal(grads[0], grads[1])


def test_without_gradients_f_is_the_same_and_no_graph_is_kept():
    decoder = make(dtype=torch.float32, precision="bfloat16")
    points, latent = inputs(decoder)
    kept = decoder(points, latent)
    with torch.no_grad():
        values = decoder(points, latent), decoder.value_and_gradient(points, latent)[0]
    for value in values:
        assert not value.requires_grad
        torch.testing.assert_close(value, kept, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("precision", "error_of_f", "error"),
    [("tf32", 1e-6, 1e-5), ("mixed", 1e-6, 0.03), ("bfloat16", 0.02, 0.05)],
)
def test_lower_precision_is_near_and_spares_what_it_says(precision, error_of_f, error):
    exact = make(dtype=torch.float32)
    lower = make(dtype=torch.float32, precision=precision)
    points, latent = inputs(exact, 4, 200)
    one, two = (derivatives(d.value_and_gradient, d, points, latent) for d in (exact, lower))
    relative = [
        float((b - a).detach().norm() / a.detach().norm()) for a, b in zip(one, two, strict=True)
    ]
    assert relative[0] <= error_of_f
    assert max(relative[1:]) < error
    assert (max(relative) > 1e-4) == (precision != "tf32")


def test_log_sigmoid_is_exact_and_its_slope_never_denormal():
    b = torch.tensor([-1e6, -95.0, -50.0, -30.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 20.0, 1e6]).double()[
        None
    ]
    expected = torch.nn.functional.logsigmoid(b)
    log, q = log_sigmoid(b.clone(), BufferPool())
    assert log[0, 6].item() == pytest.approx(-math.log(2), abs=1e-15)
    torch.testing.assert_close(log, expected, rtol=0, atol=1e-15)
    for slope in (q, exponential(log, BufferPool())):
        torch.testing.assert_close(slope, torch.sigmoid(b), rtol=0, atol=1e-15)
    log, q = log_sigmoid(b.float(), BufferPool())
    for slope in (q, exponential(log, BufferPool())):
        assert (slope * slope).min() > torch.finfo(torch.float32).tiny
    torch.testing.assert_close(log, expected.float(), rtol=0, atol=1e-6)


def test_memory_is_used_again_but_not_for_ever():
    memory, like = BufferPool(), torch.empty(0)
    first = memory.take((3, 4), like, torch.float32)
    memory.give(first)
    assert memory.take((3, 4), like, torch.float32) is first
    assert memory.take((3, 4), like, torch.float32) is not first


def test_a_decoder_keeps_the_memory_of_its_last_sizes_alone():
    decoder = make(dtype=torch.float32)
    for num_points in (400, *range(300, 300 + LEASES_KEPT + 2), 20, *[10] * LEASES_KEPT):
        loss(*decoder.value_and_gradient(*inputs(decoder, 1, num_points))).backward()
    rows = {shape[0] for (shape, _), free in decoder._pool._free.items() if free}
    assert rows == {20, 10}


def test_a_decoder_that_has_trained_is_copied_without_its_memory():
    decoder = make()
    loss(*decoder.value_and_gradient(*inputs(decoder))).backward()
    assert decoder._pool._free
    for twin in (copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
        assert not twin._pool._free
        torch.testing.assert_close(twin(*inputs(twin)), decoder(*inputs(decoder)))


def test_a_training_step_keeps_no_more_than_it_says():
    decoder = make(dtype=torch.float32)
    points, latent = inputs(decoder, 2, 500)
    kept = decoder.value_and_gradient(points, latent)
    lease = kept[0].grad_fn.next_functions[0][0].lease
    held = sum(t.numel() * 4 for block in lease.blocks for tensors in block for t in tensors)
    # Half is for what the passes work with.
    assert 0.45 < held / (1000 * decoder.bytes_per_point()) <= 0.5
