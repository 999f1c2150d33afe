"""Known codes are found, whatever is done to the scan, and every scan for itself."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from shapespace.data.prepare.neighbours import neighbour_distance
from shapespace.decoders import SkipMLP
from shapespace.fitting import Pose, Search, Stage
from shapespace.fitting.levenberg_marquardt import solve
from shapespace.fitting.pose import cross
from shapespace.fitting.residuals import Prior, Residuals, State
from shapespace.fitting.robust import Robust
from shapespace.fitting.search import median_distance
from shapespace.fitting.starts import TILT, starts, turns_about
from shapespace.scan import Scan
from tests.fitting.ellipsoids import CODES, Ellipsoids, ellipsoids, training_codes

EXACT = Search(independent=1e12, tolerance=1e-12, freedom="none")


def replaced(scan, points):
    return Scan(scan.index, points, scan.normals, scan.sigma)


def test_the_codes_of_an_exact_space_are_found():
    result = EXACT(Ellipsoids(), ellipsoids(CODES), training_codes())
    torch.testing.assert_close(result.codes, CODES, rtol=0, atol=1e-5)
    assert result.converged.all() and (result.steps > 2).all()


@pytest.mark.parametrize("freedom", ["shift", "rigid"])
def test_a_scan_that_was_moved_is_found_with_its_pose(freedom):
    scan = ellipsoids(CODES)
    step = torch.tensor([[0.1, -0.05, 0.08, 0.2, -0.15, 0.1]]).double()
    pose = Pose.identity(1, scan.points).moved(step[:, : 3 if freedom == "shift" else 6], freedom)
    pose = Pose(*(part.expand(3, *part.shape[1:]) for part in pose))
    moved = (scan.points - pose.shift[:, None]) @ pose.rotation
    search = Search(independent=1e12, tolerance=1e-12, freedom=freedom)
    result = search(Ellipsoids(), replaced(scan, moved), training_codes())
    assert result.distances.max() < 1e-4
    if freedom == "shift":
        torch.testing.assert_close(result.codes, CODES, rtol=0, atol=1e-4)
        torch.testing.assert_close(result.poses(moved), scan.points, rtol=0, atol=1e-4)


def test_outliers_do_not_pull_unless_squares_are_asked_for():
    scan = ellipsoids(CODES)
    dirty = scan.points.clone()
    dirty[:, ::5] += torch.tensor([0.4, 0.3, 0.0]).double()
    found = {
        loss: Search(loss=loss, independent=1e6, freedom="none")(
            Ellipsoids(), replaced(scan, dirty), training_codes()
        )
        for loss in ("geman-mcclure", "squares")
    }
    errors = {loss: (result.codes - CODES).abs().max() for loss, result in found.items()}
    assert errors["geman-mcclure"] < 5e-3 < 0.05 < errors["squares"]


def test_a_scan_with_one_dense_half_is_fitted_like_an_even_one():
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(6000, 3, generator=generator).double()
    unit = torch.nn.functional.normalize(unit, dim=-1)
    points = unit * torch.where(unit[:, :1] > 0, 0.55, 0.45)  # no code draws both halves
    thin = (unit[:, 0] > 0) | (torch.rand(6000, generator=generator) < 0.5)
    search = Search(loss="squares", freedom="none", independent=1e6, even=True)
    found = {}
    for cloud in (points, points[thin]):
        sigma = torch.from_numpy(neighbour_distance(cloud.float().numpy())).double()
        scan = Scan(torch.tensor([0]), cloud[None], None, sigma[None])
        for even in (True, False):
            result = replace(search, even=even)(Ellipsoids(), scan, training_codes())
            found[len(cloud), even] = result.codes.mean()
    off = {even: (found[len(cloud), even] - found[6000, True]).abs() for even in (True, False)}
    assert off[True] < 0.5 * off[False]


def test_fitted_in_a_batch_as_if_alone():
    scan, search = ellipsoids(CODES, normals=True), Search()
    together = search(Ellipsoids(), scan, training_codes())
    for row in range(3):
        alone = search(Ellipsoids(), scan[row : row + 1], training_codes())
        torch.testing.assert_close(together.codes[row], alone.codes[0], rtol=0, atol=1e-9)
        assert together.steps[row] == alone.steps[0]


def test_the_prior_holds_what_the_scan_does_not_show():
    codes = training_codes()
    part = ellipsoids(CODES[:1], 2000)
    half = part.points[:, part.points[0, :, 2] > 0.15]
    scan = Scan(part.index, half, None, part.sigma[:, : half.shape[1]])
    result = Search(freedom="none")(Ellipsoids(), scan, codes)
    assert (result.codes - CODES[:1]).abs().max() < 0.02
    nothing = Scan(part.index, part.points[:, :0], None, part.sigma[:, :0])
    result = Search(freedom="none")(Ellipsoids(), nothing, codes)
    torch.testing.assert_close(result.codes[0], codes.mean(0), rtol=0, atol=1e-6)


def test_the_decoder_is_left_as_it_was():
    decoder = Ellipsoids()
    decoder.factor.grad = torch.tensor(7.0).double()
    Search()(decoder, ellipsoids(CODES), training_codes())
    assert decoder.factor.item() == 0.5 and decoder.factor.grad.item() == 7.0
    assert decoder.factor.requires_grad and decoder.training


@pytest.mark.parametrize("freedom", ["none", "shift", "rigid", "similarity"])
@pytest.mark.parametrize("latent_size", [0, 3])
@pytest.mark.parametrize("points", ["ten", "equal", "one", "none"])
def test_poor_scans_have_an_answer(freedom, latent_size, points):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, width=24, depth=3, skip=0)
    some = {"ten": torch.randn(2, 10, 3), "equal": torch.ones(2, 20, 3)}
    some |= {"one": torch.ones(2, 1, 3), "none": torch.ones(2, 0, 3)}
    scan = Scan(torch.arange(2), some[points], None, torch.ones_like(some[points][..., 0]))
    codes = 0.1 * torch.randn(4, latent_size)
    result = Search(freedom=freedom)(decoder, scan, codes)
    assert result.codes.shape == (2, latent_size)
    assert torch.isfinite(result.codes).all()
    assert all(torch.isfinite(part).all() for part in result.poses)


def test_two_dimensions():
    codes = CODES[:, :2]
    search = Search(independent=1e12, tolerance=1e-12, freedom="rigid")
    result = search(Ellipsoids(2), ellipsoids(codes), training_codes(dimension=2))
    torch.testing.assert_close(result.codes, codes, rtol=0, atol=1e-5)


def test_the_cost_never_rises_and_a_finished_problem_rests():
    scan = ellipsoids(CODES)
    prior = Prior.of_codes(training_codes())
    problem = Residuals(Ellipsoids(), scan.points, None, median_distance(scan.points), 0.04)
    state = State(CODES.clone(), Pose.identity(3, scan.points))
    state.code[0] += 1.0
    costs, seen = [], []
    for iterations in range(8):
        seen.clear()
        on = lambda active: seen.append(active.tolist())  # noqa: E731
        found = solve(problem, state, prior, Robust(), 1e9, iterations, 1e-9, on)
        costs.append(found.cost)
    assert all((after <= before).all() for before, after in pairwise(costs))
    assert seen[0] == [0, 1, 2] and seen[-1] == [0]


def test_the_mean_and_the_nearest_training_codes_are_tried_first():
    codes, decoder = training_codes(), Ellipsoids()
    scan = ellipsoids(codes[[7, 3]])
    found = starts(decoder, scan.points, codes, codes.mean(0), 4)
    first = torch.stack([codes.mean(0), codes[7]])
    torch.testing.assert_close(found.code[:2], first)
    torch.testing.assert_close(found.code[5], codes[3])
    assert starts(decoder, scan.points, codes[:2], codes.mean(0), 9).code.shape == (6, 3)


def test_a_turned_scan_is_tried_at_its_angle_first():
    codes, decoder = training_codes(), Ellipsoids()
    scan = ellipsoids(codes[[7, 3]])
    turns = turns_about(1, 12, scan.points)
    found = starts(decoder, scan.points @ turns[1], codes, codes.mean(0), 4, turns)
    for row, code in ((1, 7), (5, 3)):
        torch.testing.assert_close(found.code[row], codes[code])
        # The half turn is the same to an ellipsoid.
        same = [torch.allclose(found.pose.rotation[row], turns[k]) for k in (1, 7)]
        assert any(same)
    angles = {str(rotation.round(decimals=3).tolist()) for rotation in found.pose.rotation[1:4]}
    assert len(angles) == 3


def test_turns_are_about_the_axis_and_tilted_from_it():
    for axis in range(3):
        turns = turns_about(axis, 8, torch.zeros(1, 3).double())
        assert len(turns) == 40
        eye = torch.eye(3).double()
        torch.testing.assert_close(turns @ turns.mT, eye.expand(40, 3, 3), rtol=0, atol=1e-6)
        tilt = turns[:, axis, axis].clamp(max=1).acos().rad2deg()
        torch.testing.assert_close(tilt[:8], torch.zeros(8).double(), rtol=0, atol=0.05)
        torch.testing.assert_close(tilt[8:], torch.full((32,), TILT).double(), rtol=0, atol=0.05)
    assert turns_about(0, 8, torch.zeros(1, 2)).shape == (8, 2, 2)


@pytest.mark.parametrize("freedom", ["rigid", "similarity"])
def test_a_scan_is_found_at_any_yaw_with_a_tilt_and_far_off(freedom):
    scan = ellipsoids(CODES, 2000)
    scale = 1.1 if freedom == "similarity" else 1.0
    turn = torch.linalg.matrix_exp(cross(torch.tensor([[0.2, 0, 0], [0, 2.3, 0]]).double()))
    moved = (
        scan.points @ turn[0].mT @ turn[1].mT / scale + torch.tensor([0.05, -0.04, 0.1]).double()
    )
    search = Search(independent=1e8, tolerance=1e-9, freedom=freedom)
    # A code may trade its size for the pose's; the surface must come out the same.
    result = search(Ellipsoids(), replaced(scan, moved), training_codes())
    assert result.distances.max() < 1e-3
    if freedom == "rigid":
        found, known = (codes.sort(1).values for codes in (result.codes, CODES))
        torch.testing.assert_close(found, known, rtol=0, atol=1e-3)


def test_stages_take_no_more_points_than_asked():
    asked = []

    class Counted(Ellipsoids):
        def jacobian(self, points, latent):
            asked.append(points.shape[1])
            return super().jacobian(points, latent)

    stages = (Stage(100, 16.0, 2, 2), Stage(5000, 3.0, 2, 1))
    Search(stages=stages)(Counted(), ellipsoids(CODES), training_codes(), num_points=300)
    assert set(asked) == {100, 300}


def test_a_second_look_at_the_training_codes_leaves_a_wrong_valley():
    class Waves(Ellipsoids):
        """Balls of radius 1 + 0.3 cos z: a code on a crest is not moved by any residual."""

        def __init__(self):
            super().__init__()
            self.latent_size = 1

        def forward(self, points, latent):
            return points.norm(dim=-1) - 1 - 0.3 * latent.cos()

    crest, scan = torch.zeros(1, 1).double(), ellipsoids(torch.zeros(1, 3))
    valleys = torch.tensor([[-torch.pi], [torch.pi]]).double()
    scan = replaced(scan, 1.4 * scan.points)  # of radius 0.7
    first = Stage(200, 1000.0, 5, 1)
    found = {}
    for stages in ((first,), (first, first._replace(again=2))):
        search = Search(guess=crest, stages=stages, freedom="none")
        found[len(stages)] = search(Waves(), scan, valleys)
    assert found[1].distances.max() > 0.5 and found[2].distances.max() < 1e-3
    assert found[2].steps > found[1].steps


def test_a_field_without_a_number_is_no_success():
    class Broken(Ellipsoids):
        def jacobian(self, points, latent):
            return tuple(part * torch.nan for part in super().jacobian(points, latent))

    assert not Search()(Broken(), ellipsoids(CODES), training_codes()).converged.any()
