import math

import pytest
import torch

from shapespace.decoders import value_and_gradient
from shapespace.objectives import IGR
from shapespace.objectives.terms import (
    beyond_the_box,
    code_mean_abs,
    code_norm,
    eikonal,
    normal_deviation,
)
from shapespace.scan import Samples
from tests import exact


def samples_of_sphere(batch=2, radius=0.6, normals=True):
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.randn(batch, 50, 3, generator=generator).double(), dim=-1
    )
    space = torch.randn(batch, 60, 3, generator=generator).double()
    return Samples(radius * directions, directions if normals else None, space)


def test_exact_distance_has_no_loss():
    terms = IGR().terms(exact.sphere(0.6), samples_of_sphere(), torch.zeros(2, 4).double())
    for name, value in terms.items():
        assert value.shape == (2,)
        assert value.abs().max() < 1e-14, name


@pytest.mark.parametrize("field", [exact.torus(), exact.box(), exact.capsule()])
def test_exact_distances_of_other_shapes_have_no_loss(field):
    start = torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(2)).double()
    latent = torch.zeros(2, 0).double()
    sdf, gradient = value_and_gradient(field, start, latent)
    outside = sdf > 0.05
    count = int(outside.sum(1).min())
    order = outside.int().argsort(dim=1, descending=True, stable=True)[:, :count, None]
    values = (start, sdf[..., None].expand(-1, -1, 3), gradient)
    start, sdf, gradient = (value.gather(1, order.expand(-1, -1, 3)) for value in values)
    assert count > 50
    landed = start - sdf * gradient  # a step of f along -grad f ends on the surface
    terms = IGR().terms(field, Samples(landed + 1e-9 * gradient, gradient, start), latent)
    for name, value in terms.items():
        assert value.max() < 1e-6, name


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scaled_distance_has_the_eikonal_and_normal_terms_of_its_slope(factor):
    def field(points, latent):
        return factor * exact.sphere(0.6)(points, latent)

    terms = IGR().terms(field, samples_of_sphere(), torch.zeros(2, 0).double())
    torch.testing.assert_close(terms["eikonal"], torch.full((2,), (factor - 1) ** 2).double())
    torch.testing.assert_close(terms["normal"], torch.full((2,), abs(factor - 1)).double())


def test_offset_surface_has_the_offset_as_its_term():
    terms = IGR().terms(exact.sphere(0.5), samples_of_sphere(), torch.zeros(2, 0).double())
    torch.testing.assert_close(terms["surface"], torch.full((2,), 0.1).double())


def test_points_in_another_order_change_nothing():
    samples, latent = samples_of_sphere(), torch.zeros(2, 0).double()
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert samples.normals is not None
    shuffled = Samples(samples.surface[:, order], samples.normals[:, order], samples.space)
    field = exact.box()
    for name, value in IGR().terms(field, samples, latent).items():
        torch.testing.assert_close(value, IGR().terms(field, shuffled, latent)[name])


def test_batch_is_its_scans_one_by_one():
    samples, latent = samples_of_sphere(), torch.randn(2, 3).double()
    together = IGR().terms(exact.box(), samples, latent)
    for row in range(2):
        alone = IGR().terms(exact.box(), samples[row : row + 1], latent[row : row + 1])
        for name in together:
            torch.testing.assert_close(together[name][row : row + 1], alone[name])


def test_unknown_normals_count_nothing():
    gradient = torch.randn(1, 4, 3)
    normals = torch.nn.functional.normalize(torch.randn(1, 4, 3), dim=-1)
    half = normals.clone()
    half[:, 2:] = 0
    expected = (gradient - normals)[:, :2].norm(dim=-1).sum() / 4
    torch.testing.assert_close(normal_deviation(gradient, half)[0], expected)
    assert normal_deviation(gradient, None).item() == 0
    assert normal_deviation(gradient, torch.zeros_like(normals)).item() == 0


def test_terms_have_finite_gradients_at_their_minima():
    normals = torch.nn.functional.normalize(torch.randn(1, 4, 3), dim=-1)
    gradient = normals.clone().requires_grad_()
    latent = torch.zeros(1, 8, requires_grad=True)
    loss = normal_deviation(gradient, normals) + eikonal(gradient) + code_norm(latent)
    loss.sum().backward()
    assert gradient.grad is not None and torch.isfinite(gradient.grad).all()
    assert latent.grad is not None and not latent.grad.any()


def test_code_terms():
    latent = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert code_norm(latent).tolist() == [5.0, 0.0]
    assert code_mean_abs(latent).tolist() == [3.5, 0.0]
    empty = torch.zeros(3, 0)
    assert code_norm(empty).tolist() == code_mean_abs(empty).tolist() == [0.0] * 3


def test_total_is_the_weighted_sum_and_the_fit_keeps_the_weights():
    objective = IGR(normal=0.5, eikonal=0.2, latent=0.01)
    terms = {name: torch.tensor([1.0, 2.0]) for name in objective.weights}
    torch.testing.assert_close(objective.total(terms), 1.71 * torch.tensor([1.0, 2.0]))
    unseen = objective.for_unseen()
    assert unseen.weights == objective.weights
    assert unseen.latent_term == "mean_abs"


def test_beyond_the_box_a_distance_has_no_loss_and_an_inside_has_its_depth():
    samples = samples_of_sphere(radius=0.6)
    objective = IGR(outside=2.0)
    latent = torch.zeros(2, 0).double()
    assert objective.terms(exact.sphere(0.6), samples, latent)["outside"].max() == 0
    surface = torch.tensor([[[-1.0, -1, -1], [1, 1, 1]]]).double()
    points = torch.tensor([[[3.0, 0, 0], [0, 0, 0], [1.05, 0, 0], [4, 5, 0]]]).double()
    found = beyond_the_box(torch.full((1, 4), -0.5).double(), points, surface, margin=0.1)
    expected = (1.9 + 0.5 + math.hypot(2.9, 3.9) + 0.5) / 4
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert objective.for_unseen().weights == objective.weights
    assert objective.for_unseen().margin == objective.margin
    assert "outside" not in IGR().weights
