"""Lines of sight: derivatives against differences, laws of the losses, and what they tell a fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shapespace.fitting import Pose, Search
from shapespace.fitting.residuals import State
from shapespace.fitting.sight.lines import (
    MOST_RAYS,
    SightBatch,
    Sightlines,
    seen_from,
    sight_batch,
)
from shapespace.fitting.sight.term import SightTerm, alpha_of, cross_entropy, hinge
from shapespace.scan import Frame
from tests.fitting.ellipsoids import Ellipsoids, ellipsoids, training_codes


def rays_at(height, inside, half=0.45, num=21):
    """Parallel rays along -z at one height."""
    x = np.linspace(-half, half, num)
    origins = np.stack([x, np.full(num, height), np.full(num, 3.0)], 1)
    directions = np.tile([0.0, 0, -1], (num, 1))
    one = np.ones(num)
    return Sightlines(origins, directions, near=1 * one, far=5 * one, inside=one == inside)


def batch_of(lines):
    """All rays of one scan, as they are."""

    def tensor(part):
        return torch.from_numpy(part)[None].double()

    side = np.where(lines.inside, 1.0, -1.0)
    parts = (lines.origins, lines.directions, lines.near, lines.far, side)
    return SightBatch(*map(tensor, parts))


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("freedom", ["none", "shift", "rigid", "similarity"])
def test_slopes_are_those_of_differences(freedom, masks):
    lines = Sightlines.cat([rays_at(0.2, False), rays_at(0.5, True), rays_at(-0.3, masks)])
    term = SightTerm(
        Ellipsoids(),
        batch_of(lines),
        size=torch.tensor([0.5]).double(),
        freedom=freedom,
        width=0.05,
        alpha=70.0,
        masks=masks,
    )
    count = {"none": 0, "shift": 3, "rigid": 6, "similarity": 7}[freedom]
    start = Pose.identity(1, torch.zeros(1, 1, 3).double())
    turn = torch.tensor([[0.05, -0.02, 0.03, 0.1, -0.2, 0.15]]).double()
    state = State(torch.tensor([[0.1, -0.1, 0.2]]).double(), start.moved(turn, "rigid"))
    which = torch.tensor([0])
    found = term(state, which)
    assert (
        found.slope.shape == (1, 3 + count) and (torch.linalg.eigvalsh(found.hessian) > -1e-9).all()
    )
    step = 1e-5
    for i in range(3 + count):
        ends = []
        for sign in (1, -1):
            delta = torch.zeros(1, 3 + count).double()
            delta[0, i] = sign * step
            moved = State(state.code + delta[:, :3], state.pose.moved(delta[:, 3:], freedom))
            ends.append(float(term(moved, which).cost))
        difference = (ends[0] - ends[1]) / (2 * step)
        # The place of the least f is found to a share of the ray's samples only.
        assert float(found.slope[0, i]) == pytest.approx(difference, rel=0.02, abs=2e-4)


@pytest.mark.parametrize("loss", ["hinge", "entropy"])
def test_losses_have_their_slopes_and_lie_below_their_parabolas(loss):
    def of(q):
        return hinge(q, 0.1) if loss == "hinge" else cross_entropy(q, 0.1, 80.0)

    q = torch.linspace(-0.5, 0.5, 201).double()[None]
    found = of(q)
    differences = (of(q + 1e-6).cost - of(q - 1e-6).cost) / 2e-6
    torch.testing.assert_close(found.slope, differences, rtol=1e-5, atol=1e-6)
    assert (found.cost >= 0).all() and (found.curvature >= 0).all()
    if loss == "entropy":
        for other in torch.linspace(-0.5, 0.5, 41).double():
            away = other - q
            above = found.cost + found.slope * away + 0.5 * found.curvature * away**2
            assert (of(other[None, None]).cost <= above + 1e-9).all()
    else:
        assert not found.cost[q <= 0].any() and found.slope.max() == 0.1


def test_alpha_doubles_five_times():
    assert [alpha_of(i, 6) for i in range(6)] == pytest.approx([50, 100, 200, 400, 800, 1600])
    assert alpha_of(0, 1) == 50


def test_frames_balls_and_hits():
    lines = rays_at(0.0, False)
    frame = Frame(np.array([1.0, 2, 3]), 2.0)
    moved = lines.in_store(frame)
    np.testing.assert_allclose(
        frame.to_source(moved.origins + moved.far[:, None] * moved.directions),
        lines.origins + lines.far[:, None] * lines.directions,
        atol=1e-12,
    )
    ball = lines.within(np.zeros(3), 0.3)
    assert 0 < len(ball) < len(lines)
    ends = ball.origins + ball.far[:, None] * ball.directions
    np.testing.assert_allclose(np.linalg.norm(ends, axis=1), 0.3)
    assert not len(lines.within(np.array([9.0, 9, 9]), 0.1))
    sensor = np.array([0.0, 0, 2])
    points = np.array([[0.0, 0, 0.5], [0, 0, -0.5], [0.1, 0, 0.5]])
    normals = np.array([[0.0, 0, 1], [0, 0, -1], [0, 0, 0]])
    seen = seen_from(sensor, points, normals)
    assert len(seen) == 2 and seen.far[0] == 1.5
    np.testing.assert_allclose(seen.origins + seen.far[:, None] * seen.directions, points[[0, 2]])
    assert len(seen_from(sensor, points, None)) == 3


def test_places_before_a_hit_are_crossed_and_places_behind_are_not():
    grid = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 40), np.linspace(-0.3, 0.3, 40)), -1)
    wall = np.concatenate([grid.reshape(-1, 2), np.zeros((1600, 1))], 1)
    lines = seen_from(np.array([0.0, 0, 2]), wall, None)
    places = np.array([[0.0, 0, 0.4], [0, 0, -0.4], [0, 0, 0.005], [1.0, 0, 0.4]])
    np.testing.assert_allclose(lines.crossed(places, 0.01), [0.39, 0, 0, 0], atol=2e-3)


def test_as_many_rays_of_each_scan_and_none_where_there_are_none():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.3
    lines = seen_from(np.array([0.0, 0, 3]), points, None)
    like = torch.zeros(0)
    batch = sight_batch([lines, None], [points, points], like, 0.02)
    assert batch is not None and batch.side.shape == (2, MOST_RAYS)
    assert (batch.side[0] == -1).all() and not batch.side[1].any()
    assert (batch.far > 0)[0].all() and batch.origins.dtype == like.dtype
    assert sight_batch([None], [points], like, 0.02) is None
    assert batch.picked(torch.tensor([0, 0]), 64).near.shape == (2, 64)


def one_sided(code, camera):
    """A scan of the side of an ellipsoid that a camera sees, and its lines of sight."""
    scan = ellipsoids(code, num=900, normals=True)
    points, normals = scan.points[0], scan.normals[0]
    seen = ((points - torch.from_numpy(camera)) * normals).sum(1) < 0
    half = replace(
        scan, points=points[seen][None], normals=None, sigma=scan.sigma[:, seen], targets=None
    )
    return half, seen_from(camera, points[seen].numpy(), normals[seen].numpy())


def test_silhouettes_alone_tell_an_ellipsoid():
    code = torch.tensor([[0.3, 0.0, -0.2]]).double()
    a = 0.5 * code.exp()[0].numpy()
    parts = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        drawn = np.random.default_rng(axis).uniform(-0.8, 0.8, (1500, 2))
        origins = np.zeros((1500, 3))
        origins[:, axis], origins[:, u], origins[:, v] = 3.0, drawn[:, 0], drawn[:, 1]
        directions = np.zeros((1500, 3))
        directions[:, axis] = -1
        inside = (drawn[:, 0] / a[u]) ** 2 + (drawn[:, 1] / a[v]) ** 2 < 1
        ones = np.ones(1500)
        parts.append(
            Sightlines(origins, directions, near=1.5 * ones, far=4.5 * ones, inside=inside)
        )
    scan = ellipsoids(code, num=0)
    batch = batch_of(Sightlines.cat(parts))
    search = Search(freedom="none", independent=1e6, starts=3)
    result = search(Ellipsoids(), scan, training_codes(), sight=batch)
    torch.testing.assert_close(result.codes, code, rtol=0, atol=0.03)


def test_free_rays_that_hold_change_little_and_those_that_do_not_change_much():
    code = torch.tensor([[0.3, 0.1, -0.1]]).double()
    camera = np.array([0.0, 0, 3.0])
    scan, lines = one_sided(code, camera)
    search = Search(freedom="none", independent=1e6)
    plain = search(Ellipsoids(), scan, training_codes())
    batch = sight_batch([lines], [scan.points[0].numpy()], scan.points, search.delta)
    same = search(Ellipsoids(), scan, training_codes(), sight=batch)
    torch.testing.assert_close(same.codes, plain.codes, rtol=0, atol=0.02)
    # Rays beside the scan that nothing may cross: the shape is narrower than the points say.
    x = rays_at(0.0, False, half=0.6, num=101)
    outer = x.rows(np.abs(x.origins[:, 0]) > 0.45)
    narrow = search(Ellipsoids(), scan, training_codes(), sight=batch_of(outer))
    assert narrow.codes[0, 0] < plain.codes[0, 0] - 0.05
