"""Identities of terms on fields that are known exactly."""

import math

import pytest
import torch
from torch import nn

from shapespace.decoders.base import Decoder, value_and_gradient
from shapespace.decoders.derivatives import value_gradient_hessian
from shapespace.objectives import (
    SAL,
    SALD,
    DeepSDF,
    DiGS,
    NeuralPull,
    SingularHessian,
    StEik,
)
from shapespace.objectives.hotspot import heat
from shapespace.objectives.targets.level_sets import level_set_samples, project_to_level
from shapespace.objectives.terms import (
    area,
    cosine_deviation,
    dual,
    eikonal,
    power_mean,
    repulsion,
    volume,
)
from shapespace.scan import Samples, TargetSamples
from tests.exact import box, capsule, sphere, torus

NO_CODE = torch.zeros(1, 0).double()


def scatter(dimension=3, count=200, seed=0):
    """Points between 0.3 and 1.5 from the origin."""
    torch.manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(1, count, dimension).double(), dim=-1)
    return directions * (0.3 + 1.2 * torch.rand(1, count, 1).double())


class Ball(Decoder):
    """|x - centre| - radius e^z."""

    dimension = 3
    latent_size = 1

    def __init__(self):
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(0.6).double())
        self.centre = nn.Parameter(torch.zeros(3).double())

    def forward(self, points, latent):
        return (points - self.centre).norm(dim=-1) - self.radius * latent.exp()


def test_second_derivatives_of_distances():
    for dimension in (2, 3):
        points = scatter(dimension)
        radius = points.norm(dim=-1)
        _, g, hessian = value_gradient_hessian(sphere(), points, NO_CODE)
        torch.testing.assert_close((hessian @ g[..., None])[..., 0], torch.zeros_like(g))
        trace = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)
        torch.testing.assert_close(trace, (dimension - 1) / radius)
        expected = trace.clamp(0.1, 50).mean(-1)
        torch.testing.assert_close(DiGS().divergence(sphere(), points, NO_CODE), expected)
    points = scatter(3)
    for field in (sphere(), torus(), capsule()):
        assert StEik().divergence(field, points, NO_CODE).abs() < 1e-12
        samples = Samples(points[:, :20], None, points[:, 20:])
        terms = SingularHessian().terms(field, samples, NO_CODE)
        assert terms["singular"].abs() < 1e-12 and terms["eikonal"].abs() < 1e-12


def test_balls_of_each_norm_solve_their_eikonal_equation():
    for p in (1.0, 1.5, 2.0, 3.0, math.inf):
        for dimension in (2, 3):

            def ball(points, latent, p=p):
                return torch.linalg.vector_norm(points, ord=p, dim=-1) - 1

            _, g = value_and_gradient(ball, scatter(dimension), NO_CODE)
            for potential in ("square", "absolute", "single_well", "double_well"):
                assert eikonal(g, potential, p).abs() < 1e-12
            if p in (1.0, 1.5, 3.0):
                assert eikonal(g, "square", 2.0) > 1e-3
    assert dual(3.0) == pytest.approx(1.5) and dual(math.inf) == 1


def test_the_wells_of_drlse():
    slopes = torch.linspace(0, 3, 3001).double().requires_grad_()
    g = torch.stack([slopes, 0 * slopes], -1)[:, None]
    single = eikonal(g, "single_well")
    torch.testing.assert_close(2 * single, eikonal(g))
    double = eikonal(g, "double_well")
    (rise,) = torch.autograd.grad(double.sum(), slopes)
    assert double[0] == 0 and double[1000] < 1e-12
    assert (rise[1:500] > 0).all() and (rise[501:1000] < 0).all(), "between the minima a hill"
    rate = rise[1:] / slopes.detach()[1:]
    assert rate.abs().max() <= 1 + 1e-9, "the diffusion rate p'(s) / s is bounded"
    torch.testing.assert_close(
        (rise[1001] - rise[999]) / 2e-3, torch.tensor(1.0).double(), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(double[1001:], single[1001:])


def test_distances_have_no_loss_whatever_their_sign():
    points = scatter()
    for field in (sphere(), box(), capsule()):
        f, g = value_and_gradient(field, points, NO_CODE)
        samples = Samples(points, None, points, TargetSamples(points, f, g, signed=True))

        def negative(points, latent, field=field):
            return -field(points, latent)

        for objective in (SAL(), SALD()):
            for either in (field, negative):
                terms = objective.terms(either, samples, NO_CODE)
                assert sum(value.item() for value in terms.values()) < 1e-10
        for objective in (DeepSDF(), NeuralPull()):
            terms = objective.terms(field, samples, NO_CODE)
            assert sum(value.item() for value in terms.values()) < 1e-10
        assert DeepSDF().terms(negative, samples, NO_CODE)["distance"] > 0.1
        assert NeuralPull().terms(negative, samples, NO_CODE)["pull"] < 1e-10, "f g is the same"


def test_samples_lie_on_their_level_and_move_with_the_weights():
    ball, code = Ball(), torch.full((1, 1), 0.1).double().requires_grad_()
    for field, name in ((ball, "ball"), (torus(), "torus"), (capsule(), "capsule")):
        for level in (0.0, 0.15):
            found, reached = project_to_level(field, scatter(), code.detach(), level=level)
            assert reached.float().mean() > 0.95, name
            off = (field(found, code) - level)[reached]
            assert off.abs().max() < 1e-6
    seeds = scatter() + 0.01
    on_zero, _ = project_to_level(ball, seeds, code.detach(), steps=3)
    points, levels = level_set_samples(ball, on_zero, code)
    torch.testing.assert_close(points, on_zero)
    assert levels.abs().max() < 1e-6
    normal = on_zero / on_zero.norm(dim=-1, keepdim=True)
    # A point of a sphere moves by its normal times the change of the radius, r e^z.
    (by_radius, by_code) = torch.autograd.grad(
        (points * normal).sum(), (ball.radius, code), retain_graph=True
    )
    assert by_radius.item() == pytest.approx(200 * math.exp(0.1))
    assert by_code.item() == pytest.approx(200 * 0.6 * math.exp(0.1))
    (by_centre,) = torch.autograd.grad((points * normal).sum(), ball.centre)
    torch.testing.assert_close(by_centre, normal.sum((0, 1)))


def test_screened_heat_around_a_sphere():
    """u = R exp(-a (r - R)) / r outside: the integrand is that of u, and u is the minimum."""
    a, radius = 6.0, 0.5
    r = torch.linspace(radius, 6.0, 200_001).double()

    def heated(points, latent):
        size = points.norm(dim=-1)
        return size - radius + torch.log(size / radius) / a

    points = torch.stack([r, 0 * r, 0 * r], -1)[:, None]
    f, g = value_and_gradient(heated, points, torch.zeros(len(r), 0).double())
    u = radius * torch.exp(-a * (r - radius)) / r
    slope = -u * (a + 1 / r)
    torch.testing.assert_close(heat(f, g, a), ((slope / a) ** 2 + u**2) / 2)

    def energy(wave, share):
        moved = f[:, 0] + share * wave
        rising = g[:, 0, 0] + share * torch.gradient(wave, spacing=(r,))[0]
        values = heat(moved[:, None], rising[:, None, None], a)
        return torch.trapezoid(values * r**2, r).item()

    for k in (1, 2):
        wave = torch.sin(k * math.pi * (r - radius)) * torch.exp(-((r - 1) ** 2))
        change = (energy(wave, 1e-3) - energy(wave, -1e-3)) / 2e-3
        assert abs(change) < 1e-4 * energy(wave, 0.0), "the first variation is 0"
        assert energy(wave, 0.1) > energy(wave, 0.0) < energy(wave, -0.1)
        tilted = (energy(wave - (r - radius), 1e-3) - energy(wave - (r - radius), -1e-3)) / 2e-3
        assert abs(tilted) < 1e-3 * energy(wave, 0.0)
    # The distance itself is the limit of large a: the error falls as 1 / a.
    assert (heated(points, None) - (r - radius)[:, None]).max() < math.log(12) / a + 1e-9


def test_area_and_volume_of_a_ball():
    torch.manual_seed(0)
    points = torch.rand(1, 400_000, 3).double() * 2 - 1
    f, g = value_and_gradient(sphere(0.6), points, NO_CODE)
    # A delta of width eps also counts parallel surfaces: its tails make up a few per cent.
    found = area(3 * f, 3 * g, epsilon=0.01) * 8
    assert found.item() == pytest.approx(4 * math.pi * 0.36, rel=0.03)
    inside = volume(f, epsilon=0.002) * 8
    assert inside.item() == pytest.approx(4 / 3 * math.pi * 0.6**3, rel=0.02)


def test_repulsion_angles_and_powers():
    assert repulsion(torch.tensor([[0.0, 0.01, -0.01]]).double(), 100.0).item() == pytest.approx(
        (1 + 2 / math.e) / 3
    )
    g = torch.tensor([[[2.0, 0.0], [0.0, -3.0], [1.0, 1.0]]]).double()
    n = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]).double()
    assert cosine_deviation(g, n).item() == pytest.approx(2 / 3)
    assert cosine_deviation(g, n, oriented=False).item() == pytest.approx(0)
    assert cosine_deviation(g, n, power=2.0).item() == pytest.approx(2 / math.sqrt(3))
    assert cosine_deviation(g, None).eq(0).all()
    values = torch.zeros(1, 3).double().requires_grad_()
    power_mean(values, 2.0).sum().backward()
    assert values.grad.eq(0).all(), "no infinite slope where all is well"
