import math

import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.fitting.pose import Pose, cross, degrees_of_freedom
from shapespace.fitting.residuals import Prior, Residuals, State, even_weights

FREEDOMS = ("none", "shift", "rigid", "similarity")


def problem(freedom, dimension=3, latent_size=5, num=12):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, dimension, width=24, depth=4, skip=2).double()
    points = torch.randn(2, num, dimension).double()
    normals = torch.nn.functional.normalize(points, dim=-1)
    normals[:, ::3] = 0
    size = torch.tensor([0.5, 2.0]).double()
    made = Residuals(decoder, points, normals, size, 0.04, freedom)
    start = Pose.identity(2, points)
    step = 0.2 * torch.randn(2, degrees_of_freedom("similarity", dimension)).double()
    state = State(torch.randn(2, latent_size).double(), start.moved(step, "similarity"))
    return made, state


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize(("dimension", "latent_size"), [(3, 5), (2, 4), (3, 0)])
def test_derivatives_are_those_of_a_step(freedom, dimension, latent_size):
    made, state = problem(freedom, dimension, latent_size)
    which = torch.arange(2)
    _, jacobian, weights = made(state, which)
    assert jacobian.shape == (2, 36, made.unknowns)
    assert (weights[:, 12:].reshape(2, 2, 12)[:, :, ::3] == 0).all() and weights.sum() == 2 * 28
    for k in range(made.unknowns):
        step = 1e-6 * torch.eye(made.unknowns)[k].double().expand(2, -1)
        ahead, behind = (made(made.moved(state, s), which)[0] for s in (step, -step))
        torch.testing.assert_close(jacobian[..., k], (ahead - behind) / 2e-6, rtol=0, atol=1e-7)


def test_residuals_are_zero_where_the_field_is_a_distance():
    class Sphere(SkipMLP):
        def jacobian(self, points, latent):
            radius = points.norm(dim=-1)
            return radius - 0.7, points / radius[..., None], points[..., :0]

    normals = torch.nn.functional.normalize(torch.randn(1, 9, 3).double(), dim=-1)
    size = torch.tensor([1.4]).double()
    made = Residuals(Sphere(0, width=16), 0.7 * normals, normals, size, 0.1)
    state = State(torch.zeros(1, 0).double(), Pose.identity(1, normals))
    residuals, _, _ = made(state, torch.arange(1))
    torch.testing.assert_close(residuals, torch.zeros(1, 27).double(), rtol=0, atol=1e-12)


def test_a_turn_is_that_of_the_right_hand():
    turn = torch.tensor([[0.0, 0.0, 0.5]]).double()
    rotation = torch.linalg.matrix_exp(cross(turn))[0]
    x = rotation @ torch.tensor([1.0, 0, 0]).double()
    assert x.tolist() == pytest.approx([math.cos(0.5), math.sin(0.5), 0.0])


def test_the_prior_of_one_code_of_equal_codes_and_of_none():
    for codes in (torch.ones(1, 3), torch.ones(4, 3)):
        prior = Prior.of_codes(codes.double())
        assert (prior.mean == 1).all() and torch.isfinite(prior.precision).all()
    assert Prior.of_codes(torch.zeros(5, 0)).precision.shape == (0, 0)
    codes = torch.randn(500, 2).double() @ torch.tensor([[2.0, 0.3], [0.0, 0.5]]).double()
    expected = torch.linalg.inv(torch.cov(codes.T))
    torch.testing.assert_close(Prior.of_codes(codes, 0.0).precision, expected)


def test_a_code_far_out_is_strange():
    training = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).double()
    prior = Prior.of_codes(training)
    codes = torch.stack([training.mean(0), torch.full((3,), 6.0).double()])
    near, far = prior.prior_distance(codes, training)
    assert near < 1e-6 and 4 < far < 10
    assert 0.9 < prior.prior_distance(training, training).median() < 1.1
    none = torch.zeros(2, 0)
    assert Prior.of_codes(none).prior_distance(none, none).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_point_weighs_what_its_surface_is(dimension):
    sigma = torch.tensor([[1.0, 2.0, 3.0, 4.0, 4.0, 40.0], [3.0] * 6])
    spacing = torch.tensor([[0.25, 0.5, 0.75, 1.0, 1.0, 1.0], [1.0] * 6])
    torch.testing.assert_close(even_weights(sigma, dimension), spacing ** (dimension - 1))
    assert (even_weights(torch.zeros(1, 5), dimension) > 0).all()
    assert even_weights(torch.zeros(2, 0), dimension).shape == (2, 0)
