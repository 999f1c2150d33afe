"""What is proved of IGR's loss, by the closed forms of experiments/theory and in small networks."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import root

from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.scan import Samples

pytest.importorskip("matplotlib")
FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "theory"


@pytest.fixture(scope="module", autouse=True)
def _beside():
    """The scripts of the experiment import each other by bare names."""
    known = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in {path.stem for path in FOLDER.glob("*.py")} - known:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def linear():
    import linear

    return linear


@pytest.fixture(scope="module")
def distance():
    import distance

    return distance


def moment_of(values, seed=0):
    """A second moment with these eigenvalues, ascending, and any eigenvectors."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(3, 3, generator=generator).double())[0]
    return frame @ torch.diag(torch.tensor(values).double()) @ frame.mT


def losses(linear):
    return {"deck": linear.deck_loss, "norm": linear.norm_loss}


def gradient_of(loss, w, moment):
    w = w.detach().requires_grad_()
    return torch.autograd.grad(loss(w[None], moment).sum(), w)[0]


@pytest.mark.parametrize("form", ["deck", "norm"])
@pytest.mark.parametrize(
    ("values", "beyond"),
    [((0.0, 0.05, 0.1), 0), ((0.01, 0.1, 0.3), 1), ((0.0, 0.3, 0.4), 2), ((0.25, 0.3, 0.4), 3)],
)
def test_critical_points_are_those_of_the_closed_form_and_no_others(linear, form, values, beyond):
    moment, loss = moment_of(values), losses(linear)[form]
    known = torch.stack([w for w, _ in linear.critical_points(moment, form)])
    assert len(known) == (7 - 2 * beyond if form == "deck" else 6)
    for w in known:
        assert gradient_of(loss, w, moment).norm() < 1e-12
    starts = np.random.default_rng(0).normal(size=(40, 3))
    for start in starts:
        end = root(lambda w: gradient_of(loss, torch.from_numpy(w), moment).numpy(), start)
        if end.success and np.linalg.norm(end.fun) < 1e-10:
            assert (known - torch.from_numpy(end.x)).norm(dim=-1).min() < 1e-4


@pytest.mark.parametrize("form", ["deck", "norm"])
@pytest.mark.parametrize("values", [(0.0, 0.05, 0.1), (0.01, 0.1, 0.3), (0.25, 0.3, 0.4)])
def test_the_hessian_says_which_are_minima(linear, form, values):
    moment, loss = moment_of(values), losses(linear)[form]
    for w, j in linear.critical_points(moment, form):
        hessian = torch.autograd.functional.hessian(lambda w: loss(w[None], moment).sum(), w)
        found = torch.linalg.eigvalsh(hessian)
        torch.testing.assert_close(found, linear.hessian_eigenvalues(moment, j, form))
        if j is not None:
            assert int((found < 0).sum()) == j  # a minimum for the plane, else a strict saddle
        else:
            assert int((found < 0).sum()) == sum(d < 2 * linear.LAMBDA for d in values)


def test_descent_from_anywhere_ends_at_the_plane_but_for_the_ways_to_the_saddles(linear):
    moment = moment_of((0.01, 0.1, 0.19))
    starts = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    for form, loss in losses(linear).items():
        minimum = linear.critical_points(moment, form)[1 if form == "deck" else 0][0]
        ends = linear.descend(partial(loss, moment=moment), starts, steps=1200)
        sides = (ends @ minimum).sign()[:, None]
        torch.testing.assert_close(ends, sides * minimum, atol=5e-3, rtol=0)
    # In the frame of the eigenvectors rounding does not lead out of the plane w_1 = 0.
    start, diagonal = torch.tensor([[0.0, 0.3, 0.9]]).double(), torch.tensor([0.01, 0.1, 0.19])
    saddle = linear.descend(
        partial(linear.deck_loss, moment=torch.diag(diagonal).double()), start, steps=1500
    )
    expected = torch.tensor([[0.0, linear.deck_slope(0.1), 0.0]]).double()
    torch.testing.assert_close(saddle, expected, atol=1e-3, rtol=0)


def test_exact_points_of_a_plane_give_its_unit_normal(linear):
    normal = torch.tensor([2.0, -1.0, 2.0]).double() / 3
    points = linear.plane_points(200, 0.0, 0, normal=normal.tolist())
    assert (points @ normal).abs().max() < 1e-12
    (w, _), *_ = linear.critical_points(linear.second_moment(points), "norm")
    torch.testing.assert_close(w * (w @ normal).sign(), normal)


def test_with_an_offset_the_best_plane_goes_through_the_centroid(linear):
    points = linear.plane_points(300, 0.05, 0) + torch.tensor([0.3, -0.2, 0.7]).double()
    centre = points.mean(0)
    w, _ = linear.critical_points(linear.second_moment(points - centre), "deck")[1]

    def loss(both):
        flat = (points @ both[:, :3].mT + both[:, 3]).square().mean(0)
        return linear.LAMBDA * (both[:, :3].square().sum(-1) - 1) ** 2 + flat

    both = torch.cat([w, -(w @ centre)[None]])[None].requires_grad_()
    assert torch.autograd.grad(loss(both).sum(), both)[0].norm() < 1e-12
    starts = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)).double()
    ends = linear.descend(loss, starts, steps=2000)
    assert (ends[:, :3] @ centre + ends[:, 3]).abs().max() < 1e-4


def test_noise_shrinks_the_slope_as_the_law_says(linear):
    assert abs(linear.deck_slope(0.01) - 0.97468) < 1e-5
    assert abs(linear.norm_slope(0.01) - 0.90909) < 1e-5
    for sigma in (0.02, 0.3):
        moment = linear.second_moment(linear.plane_points(500, sigma, 0))
        d = torch.linalg.eigvalsh(moment)[0].item()
        for loss, slope in (
            (linear.deck_loss, linear.deck_slope(d)),
            (linear.norm_loss, linear.norm_slope(d)),
        ):
            end = linear.descend(partial(loss, moment=moment), torch.eye(3).double(), steps=1000)
            assert abs(end[2].norm() - slope) < 1e-4


@pytest.mark.parametrize(("reduction", "threshold"), [("mean", 0.447), ("sum", 0.0141)])
def test_the_slope_collapses_where_noise_exceeds_twice_the_weight(linear, reduction, threshold):
    """d_min >= 2 lambda: sigma = sqrt(2 lambda) of the mean, sqrt(2 lambda / N) of the sum."""
    for factor, collapsed in ((0.9, False), (1.1, True)):
        points = linear.plane_points(1000, factor * threshold, seed=0)
        moment = linear.second_moment(points, reduction)
        assert (len(linear.critical_points(moment, "deck")) == 1) == collapsed
        zero = linear.hessian_eigenvalues(moment, None, "deck")
        assert (zero[0] > 0) == collapsed  # a minimum then, and else never
        assert len(linear.critical_points(moment, "norm")) == 6


@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.2, 0.3, 1.2, 1.6])
def test_the_slope_of_the_loss_as_it_is_trained(linear, sigma, tau):
    """Along the normal: mean |f| collapses too, with normals only when noise is large."""
    points = linear.plane_points(2000, sigma, seed=0)
    normal = torch.tensor([0.0, 0.0, 1.0]).double()
    slopes = torch.linspace(0, 1.2, 12001).double()
    values = linear.absolute_loss(slopes[:, None] * normal, points, normal=normal, tau=tau)
    law = linear.absolute_slope(points[:, 2].abs().mean().item(), tau=tau)
    assert abs(slopes[values.argmin()].item() - law) < 2e-4
    in_expectation = linear.absolute_slope(sigma * math.sqrt(2 / math.pi), tau=tau)
    assert abs(law - in_expectation) < 0.1


def test_the_linear_losses_are_those_of_the_library(linear):
    points = linear.plane_points(50, 0.1, 0)
    w = torch.tensor([[0.2, -0.4, 0.7]]).double()
    normal = torch.tensor([0.0, 0.0, 1.0]).double()
    objective, code = IGR(latent=0.0), torch.zeros(1, 0).double()
    for normals in (None, normal.expand(1, 50, 3)):
        samples = Samples(points[None], normals, torch.randn(1, 20, 3).double())
        terms = objective.terms(lambda x, _: x @ w[0], samples, code)
        expected = linear.absolute_loss(w, points, normal=None if normals is None else normal)
        torch.testing.assert_close(objective.total(terms), expected)


def test_fields_without_loss_that_are_no_distance():
    """All have |f'| = 1 almost everywhere, so that all are Lipschitz: that alone shows nothing."""
    from counterexamples import FIELDS, measured

    found = {
        (name, has_normals): measured(field, has_normals)
        for name, field in FIELDS.items()
        for has_normals in (True, False)
    }
    for (name, has_normals), numbers in found.items():
        assert (numbers["loss"] < 1e-12) == (name != "unsigned" or not has_normals)
        assert abs(numbers["steepest chord"] - 1) < 1e-9
    own = {name: found[name, False]["error to own distance"] for name in FIELDS}
    assert own["distance"] < 1e-9 and own["dented"] > 0.5 and own["unsigned"] == math.inf
    assert own["ghost"] < 1e-9, "a distance, to a surface with a sheet where no point is"
    assert found["ghost", False]["sign changes"] == 4
    assert found["ghost", False]["error to true distance"] > 1


def test_zero_sets_are_measured_exactly(distance):
    axis = np.linspace(-1.5, 1.5, 161)
    radius = np.hypot(axis, axis[:, None])
    (circle,) = distance.zero_curves(radius - 0.6, 1.5)
    assert distance.is_closed(circle)
    assert abs(distance.length(circle) - 1.2 * np.pi) < 1e-3
    assert abs(distance.turns(circle) - 1) < 1e-3
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (700, 2))
    found = distance.distance_to([circle], points)
    assert np.abs(found - np.abs(np.hypot(*points.T) - 0.6)).max() < 1e-3
    assert len(distance.zero_curves(np.abs(radius - 0.6) - 0.2, 1.5)) == 2
    assert distance.zero_curves(radius + 1, 1.5) == []
    assert np.isinf(distance.distance_to([], points)).all()
    corner = [np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])]
    given = np.array([[0.5, 0.25], [-3.0, 4.0], [1.0, 2.0]])
    np.testing.assert_allclose(distance.distance_to(corner, given), [0.25, 5.0, 1.0])
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float)
    assert abs(distance.turns(square) - 1) < 1e-9
    assert abs(distance.steepest_chord(points, 2 * points[:, 0]) - 2) < 0.01


@pytest.mark.parametrize(("sigma", "off"), [(0.0, 0.01), (0.1, 0.04)])
def test_a_network_reproduces_a_plane_near_its_points(linear, sigma, off):
    """With normals noise shrinks no slope; how far the plane goes is in the experiment."""
    from networks import evaluated, network, scan_of, trained

    flat = np.random.default_rng(1).uniform(-1, 1, (500, 3)) * [1, 1, 0]
    points = linear.plane_points(100, sigma, 0)
    scan = scan_of(points, torch.tensor([0.0, 0.0, 1.0]).expand(100, 3))
    decoder = network(3, 0, width=64)
    assert list(trained(decoder, scan, 0, [150], uniform=1.0)) == [150]
    f, slope = evaluated(decoder, flat)
    assert np.abs(f).mean() < off
    assert abs(np.linalg.norm(slope, axis=1).mean() - 1) < 0.02


@pytest.mark.parametrize("has_normals", [True, False])
def test_a_network_draws_a_smooth_curve_through_sparse_points(has_normals):
    from networks import network, scan_of, trained
    from shapes import measured, sparse_points

    points, normals = sparse_points("circle")
    decoder = network(2, 0, width=64)
    list(trained(decoder, scan_of(points, normals if has_normals else None), 0, [200], 10.0))
    _, found = measured(decoder, "circle")
    assert (found["parts"], found["open parts"]) == (1, 0)
    assert abs(found["length / true"] - 1) < 0.03 and abs(found["turns / true"] - 1) < 0.05
    assert found["given points off"] < 0.02 and found["curve off"] < 0.05
    assert found["error to own distance, near"] < 0.02


def directions_of(count):
    drawn = torch.randn(1, count, 3, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(drawn, dim=-1)


def test_geometric_initialisation_has_these_values_and_slopes():
    """Of the full size: |x| - 1 at and beyond the sphere, flat at the centre."""
    directions = directions_of(300)
    expected = {0.25: (-0.53, 0.41), 0.5: (-0.38, 0.72), 1.0: (0.03, 0.92), 1.5: (0.49, 0.96)}
    found = {radius: [] for radius in expected}
    for seed in range(4):
        torch.manual_seed(seed)
        decoder = SkipMLP(0)
        for radius in expected:
            with torch.no_grad():
                f, g = decoder.value_and_gradient(radius * directions, torch.zeros(1, 0))
            found[radius].append((f.mean().item(), g.norm(dim=-1).mean().item()))
    for radius, (value, slope) in expected.items():
        f, g = np.mean(found[radius], axis=0)
        assert abs(f - value) < 0.1 + 0.05 * radius and abs(g - slope) < 0.1


def test_geometric_initialisation_is_the_sphere_for_a_sharp_softplus():
    torch.manual_seed(0)
    decoder = SkipMLP(0, beta=1e5)
    directions = directions_of(300)
    with torch.no_grad():
        centre = decoder(torch.zeros(1, 1, 3), torch.zeros(1, 0))
        near, far = (decoder(r * directions, torch.zeros(1, 0)) for r in (0.5, 1.5))
    assert abs(centre + 1) < 0.01
    torch.testing.assert_close(3 * (near + 1), far + 1, atol=0.01, rtol=0)  # a cone
    assert abs((far + 1).mean() / 1.5 - 1) < 0.15


def test_the_experiment_runs_at_its_smallest_size(tmp_path):
    from shapes import CURVES

    options = "--seeds 1 --steps 1 --parts line curves"
    command = [sys.executable, FOLDER / "run.py", tmp_path, *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"line.csv", "curves.csv", "steps.png", *(f"{name}.png" for name in CURVES)}
