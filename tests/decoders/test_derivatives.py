import pytest
import torch

from shapespace.decoders.base import hessian_by_autograd, hessian_vector_by_autograd
from shapespace.decoders.derivatives import (
    check_second_derivatives,
    hessian_vector,
    laplacian,
    value_gradient_hessian,
)
from shapespace.decoders.fourier import WaveMLP
from shapespace.decoders.mlp import SkipMLP
from shapespace.errors import InputError
from tests.parts import Relu


def decoders():
    """Decoders with a closed form and without, with and without codes, in 2-D and 3-D."""
    torch.manual_seed(0)
    for latent_size in (0, 3):
        for dimension in (2, 3):
            for skip in (0, 2):
                yield SkipMLP(latent_size, dimension, width=20, depth=3, skip=skip, beta=5.0)
        yield WaveMLP(latent_size, 3, octaves=1, width=24, depth=3, skip=2, beta=5.0)


def test_second_derivatives_equal_automatic_ones_and_so_do_their_gradients():
    for decoder in decoders():
        decoder.double()
        for weight in decoder.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        points = torch.randn(2, 7, decoder.dimension).double().requires_grad_()
        latent = torch.randn(2, decoder.latent_size).double().requires_grad_()
        vector = torch.randn_like(points)
        wanted = hessian_by_autograd(decoder.forward, points, latent)
        product = hessian_vector_by_autograd(decoder.forward, points, latent, vector)
        found = value_gradient_hessian(decoder, points, latent)
        trace = laplacian(decoder, points, latent)
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(trace, wanted[2].diagonal(dim1=-2, dim2=-1).sum(-1))
        ours = hessian_vector(decoder, points, latent, vector)
        torch.testing.assert_close(ours, product, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours, (wanted[2] @ vector[..., None])[..., 0])
        inputs = [*decoder.parameters(), points, *([latent] if decoder.latent_size else [])]
        for mine, theirs in zip(found, wanted, strict=True):
            gradients = [
                torch.autograd.grad(
                    part.square().sum(),
                    inputs,
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                for part in (mine, theirs)
            ]
            torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_second_derivatives_without_a_graph():
    decoder = SkipMLP(2, width=16, depth=2, skip=0, beta=5.0)
    points, latent = torch.randn(1, 5, 3), torch.randn(1, 2)
    with torch.no_grad():
        closed = value_gradient_hessian(decoder, points, latent)
        automatic = hessian_by_autograd(decoder.forward, points, latent)
        product = hessian_vector_by_autograd(decoder.forward, points, latent, points)
    assert not any(part.requires_grad for part in (*closed, *automatic, product))
    torch.testing.assert_close(closed, automatic, rtol=1e-4, atol=1e-5)


def test_a_field_that_is_no_decoder_obeys_the_laws_of_a_distance():
    points = torch.randn(1, 9, 3).double()
    latent = torch.zeros(1, 0).double()

    def sphere(x, _):
        return x.norm(dim=-1) - 0.5

    f, g, hessian = value_gradient_hessian(sphere, points, latent)
    radius = f + 0.5
    torch.testing.assert_close(laplacian(sphere, points, latent), 2 / radius)
    assert hessian_vector(sphere, points, latent, g).abs().max() < 1e-12
    assert torch.linalg.det(hessian).abs().max() < 1e-12

    def plane(x, _):
        return x[..., 0]

    assert not hessian_vector(plane, points, latent, points).any()


def test_the_fused_kernel_raises_where_it_would_lose_a_gradient():
    decoder = SkipMLP(2, width=16, depth=2, skip=0, beta=5.0)
    points = torch.randn(1, 5, 3, requires_grad=True)
    latent = torch.randn(1, 2)
    f, g = decoder.value_and_gradient(points, latent)
    for part in (g[..., 0], f):
        (again,) = torch.autograd.grad(part.sum(), points, create_graph=True)
        assert again.isfinite().all()
        with pytest.raises(InputError, match="value_gradient_hessian"):
            again.square().sum().backward()
    # Once is what a training does.
    (f.sum() + g.square().sum()).backward()


def test_a_decoder_without_second_derivatives_is_refused():
    check_second_derivatives(SkipMLP(2, width=16, depth=2, skip=0))
    check_second_derivatives(WaveMLP(0, width=64, depth=2, skip=0))
    with pytest.raises(InputError, match=r"model.decoder=Relu: its second derivatives are 0"):
        check_second_derivatives(Relu())
