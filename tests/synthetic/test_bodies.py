import numpy as np
import pytest

from shapespace.errors import InputError
from shapespace.synthetic.bodies import body, body_mesh
from shapespace.synthetic.identity import SUBJECTS
from shapespace.synthetic.motions import MOTIONS

igl = pytest.importorskip("igl", reason="libigl measures the distances")


@pytest.mark.parametrize(("number", "motion"), list(enumerate(MOTIONS)))
def test_every_body_is_one_closed_outward_surface_on_the_floor(number, motion):
    identity = SUBJECTS[number]
    solid = body(identity, motion, 0.5 if motion == "one_leg_jump" else 0.0)
    mesh = body_mesh(solid, 0.008)
    assert mesh.is_watertight and mesh.body_count == 1
    assert 0.03 < mesh.volume < 0.13
    assert mesh.bounds[0, 1] == pytest.approx(0, abs=0.002)
    assert mesh.bounds[1, 1] > 0.9 * identity.stature
    low, high = solid.bounds
    assert np.all(low < mesh.bounds[0]) and np.all(mesh.bounds[1] < high)


def test_a_standing_body_has_its_stature():
    identity = SUBJECTS[0]
    top = body_mesh(body(identity, "shake_shoulders", 0.0), 0.01).bounds[1, 1]
    assert top == pytest.approx(identity.stature, rel=0.015)


def test_jumps_leave_the_floor():
    mesh = body_mesh(body(SUBJECTS[0], "jumping_jacks", 0.25), 0.02)
    assert mesh.bounds[0, 1] > 0.05


@pytest.fixture(scope="module")
def measured():
    """Values f, distances d to the surface and winding numbers at points near and far."""
    solid = body(SUBJECTS[4], "knees", 0.3)
    mesh = body_mesh(solid, 0.006)
    rng = np.random.default_rng(0)
    reach = rng.choice([0.005, 0.02, 0.1, 0.5], (6000, 1))
    points = mesh.sample(6000, seed=0) + rng.normal(size=(6000, 3)) * reach
    faces = mesh.faces.astype(np.int64)
    d = np.sqrt(igl.point_mesh_squared_distance(points, mesh.vertices, faces)[0])
    return solid(points), d, igl.fast_winding_number(mesh.vertices, faces, points)


def test_sign_is_exact(measured):
    f, d, winding = measured
    clear = d > 0.001
    assert np.array_equal(f[clear] < 0, winding[clear] > 0.5)


def test_value_is_a_bound_of_the_distance(measured):
    f, d, _ = measured
    assert np.all(np.abs(f) <= d + 0.002)
    outside = f > 0
    assert np.all((d - f)[outside] <= 0.015 * SUBJECTS[4].stature)
    assert np.median((d - f)[outside]) < 0.001
    deep = (f < 0) & (d > 0.01)
    assert np.min(-f[deep] / d[deep]) > 0.3


def test_pruning_changes_nothing():
    solid = body(SUBJECTS[1], "punching", 0.2)
    mesh = body_mesh(solid, 0.01)
    assert np.max(np.abs(solid(mesh.vertices))) < 0.003
    step = 0.01
    axes = [np.arange(low - step, high + step, 4 * step) for low, high in solid.bounds.T]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    inside = points[solid(points) < -0.01]
    winding = igl.fast_winding_number(mesh.vertices, mesh.faces.astype(np.int64), inside)
    assert np.all(winding > 0.9)


def test_phase_is_periodic_and_people_differ():
    points = np.random.default_rng(0).uniform(0, 1, (50, 3))
    one = body(SUBJECTS[0], "hips", 0.25)(points)
    np.testing.assert_allclose(one, body(SUBJECTS[0], "hips", 1.25)(points), atol=1e-9)
    assert np.abs(one - body(SUBJECTS[1], "hips", 0.25)(points)).max() > 0.01


def test_unknown_motion():
    with pytest.raises(InputError, match="motion 'swimming'"):
        body(SUBJECTS[0], "swimming", 0.0)
