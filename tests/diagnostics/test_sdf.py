"""What the diagnostics say of exact distances, and of fields that are wrong in a known way."""

import numpy as np
import pytest
import torch
import trimesh

from shapespace.decoders import SkipMLP
from shapespace.diagnostics.rays import _rays, mesh_depth
from shapespace.diagnostics.samples import field_samples, sample_field
from shapespace.diagnostics.sdf import MEANING, REGIONS, diagnose_field
from shapespace.diagnostics.zero_set import ZeroSurface, zero_surface
from tests import exact

pytest.importorskip("embreex", reason="rays are cast by embreex")
pytest.importorskip("igl", reason="exact distances need libigl")

NONE = torch.zeros(0, dtype=torch.float64)
EXTENT = 1.2
QUICK = {"num_points": 3000, "resolution": 48, "num_rays": 300}
SPHERE = exact.sphere()
ROUND = {"sphere": SPHERE, "torus": exact.torus(), "capsule": exact.capsule()}
ALL = {**ROUND, "box": exact.box()}


def measured(field, latent=NONE, **options):
    return diagnose_field(field, latent, EXTENT, **{**QUICK, **options})


@pytest.fixture(scope="module")
def distances():
    """Diagnostics of exact distances."""
    return {name: measured(field) for name, field in ALL.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_distance_is_one(distances, name):
    found = distances[name]
    assert tuple(found.numbers) == tuple(MEANING) and found.remarks == ()
    for region in REGIONS:
        assert found[f"gradient_max_{region}"] < 1e-12 and found[f"gradient_off_{region}"] == 0
        assert found[f"distance_max_{region}"] <= 2.5 * found["mesh_error_max"]
        assert found[f"distance_rmse_{region}"] <= found["mesh_error_max"]
    assert found["mesh_error_max"] < 0.5 * found["cell"]
    for column in ("sign_errors", "sign_errors_far", "ghost_share", "pair_violations", "sheets"):
        assert found[column] == 0
    assert found["lipschitz_found"] == pytest.approx(1, abs=1e-12)
    assert found["lipschitz_likely"] == pytest.approx(1, abs=1e-12)
    assert found["safe_factor"] == pytest.approx(1, abs=1e-12)
    for column in ("overshoot_one", "overshoot_safe", "passed_one", "passed_safe"):
        assert found[column] == 0
    assert found["ray_mismatch"] < 0.03 and found["ray_depth"] <= found["mesh_error_max"]
    assert found["normal_q05"] > (0.6 if name == "box" else 0.99)


def test_the_medial_axis_is_told(distances):
    assert distances["sphere"]["medial_share_space"] < 0.01
    assert distances["box"]["medial_share_near"] > 0.05  # the edges, from within
    for name in ("torus", "capsule", "box"):
        assert distances[name]["medial_share_space"] > 0.0
        assert distances[name]["medial_else_rms_space"] < 1e-12


def test_where_the_medial_axis_of_a_sphere_is():
    found = sample_field(SPHERE, NONE, EXTENT, 6000, resolution=48)
    radius = np.linalg.norm(found.space.points, axis=1)
    band = found.surface.band
    assert not found.space.medial[radius > 1.1 * band].any()
    assert found.space.medial[radius < 0.8 * band].all()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_scaled_distance_is_off_by_its_factor(factor):
    found = measured(lambda points, latent: factor * SPHERE(points, latent))
    for region in REGIONS:
        assert found[f"gradient_mean_{region}"] == pytest.approx(factor - 1, abs=1e-12)
        assert found[f"gradient_rms_{region}"] == pytest.approx(abs(factor - 1), abs=1e-12)
        assert found[f"gradient_off_{region}"] == 1
        assert found[f"distance_relative_{region}"] == pytest.approx(abs(factor - 1), abs=0.05)
    assert found["safe_factor"] == pytest.approx(1 / factor, abs=1e-12)
    assert found["normal_mean"] == pytest.approx(factor, rel=1e-2)
    assert (found["pair_violations"] > 0.05) == (factor > 1)
    assert (found["pair_excess"] > 0.5) == (factor > 1)
    assert (found["overshoot_one"] > 0.2) == (found["passed_one"] > 0.2) == (factor > 1)
    assert found["overshoot_safe"] == found["passed_safe"] == 0


def test_an_unsigned_distance_is_caught():
    found = measured(lambda points, latent: SPHERE(points, latent).abs())
    (remark,) = found.remarks
    assert "unsigned" in remark
    assert found["gradient_max_space"] < 1e-12 and found["pair_violations"] == 0
    assert found.numbers["distance_rmse_space"] is None and found.numbers["sheets"] is None


def test_both_sides_of_an_unsigned_shell_are_sheets():
    found = measured(lambda points, latent: SPHERE(points, latent).abs() - 0.1, resolution=64)
    assert found["sheets"] == 1
    assert found["sheet_area"] == pytest.approx(0.25 / 0.74, abs=0.01)
    assert found["sheet_nearest"] == pytest.approx(0.2, abs=5e-3)
    assert found["ghost_share"] == pytest.approx(4 / 3 * np.pi * 0.5**3 / 2.4**3, abs=0.015)


def test_an_extra_sheet_is_counted_and_placed():
    found = measured(exact.two_spheres(0.9))
    assert found["sheets"] == 1 and found["sheet_area"] == pytest.approx(0.2, abs=0.01)
    assert found["sheet_nearest"] == pytest.approx(0.3, abs=0.01)
    assert found["sheet_farthest"] == pytest.approx(0.7, abs=0.01)
    assert 0 < found["ghost_share"] < 0.01 and found["sign_errors"] == 0
    assert found["size"] == pytest.approx(0.8, abs=0.01)


def test_a_clamped_distance_is_flat_far_away():
    found = measured(lambda points, latent: SPHERE(points, latent).clamp(-0.1, 0.1))
    assert found["gradient_mean_far"] < -0.9 and found["gradient_max_near"] < 1e-12
    assert found["distance_max_near"] < 0.01 and found["distance_max_far"] > 1
    assert found["overshoot_one"] == 0 and found["safe_factor"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("shift", "side"), [(5.0, "positive"), (-5.0, "negative")])
def test_an_empty_zero_set(shift, side):
    found = measured(lambda points, latent: SPHERE(points, latent) + shift)
    (remark,) = found.remarks
    assert "empty" in remark and side in remark
    assert found["gradient_max_space"] < 1e-12 and found["safe_factor"] == pytest.approx(1)
    assert found.numbers["size"] is None and found.numbers["overshoot_one"] is None


def test_a_shape_that_leaves_the_box_is_said_to_be_open():
    found = measured(lambda points, latent: points[..., 1] - 0.05)
    assert "open" in found.remarks[0]
    assert found["gradient_max_space"] < 1e-12 and found["safe_factor"] == 1


@pytest.mark.parametrize("dimension", [1, 2])
def test_other_dimensions_have_what_needs_no_surface(dimension):
    found = measured(SPHERE, dimension=dimension)
    assert found["gradient_max_space"] < 1e-12 and found["lipschitz_found"] == pytest.approx(1)
    assert found["pair_violations"] == 0 and found.numbers["distance_max_near"] is None
    assert "not 3-D" in found.remarks[0]


def test_what_is_not_finite_is_counted():
    def holed(points, latent):
        return torch.where(points[..., 0] > 1.0, torch.nan, SPHERE(points, latent))

    found = measured(holed)
    assert found["not_finite"] == pytest.approx(0.2 / 2.4, abs=0.02)
    assert found["gradient_max_space"] < 1e-12


def test_what_is_not_finite_has_no_sign():
    def hollow(points, latent):
        return torch.where(points.norm(dim=-1) < 0.4, torch.nan, SPHERE(points, latent))

    found = measured(hollow)
    assert found["not_finite"] > 0
    assert found["sign_errors"] < 0.01 and found["ghost_share"] == 0, "cells at its rim alone"
    assert "finite nowhere" in measured(lambda points, latent: points[..., 0] / 0 * 0).remarks[0]


def test_rays_aim_beside_the_surface_wherever_on_it():
    found = zero_surface(exact.capsule(), NONE, EXTENT, 48)
    aims, directions = _rays(exact.capsule(), NONE, found, EXTENT, 2000, 0)
    apart = aims + 4 * EXTENT * directions
    off = exact.capsule()(apart[None], NONE)[0]
    assert abs(np.corrcoef(apart[:, 1], off)[0, 1]) < 0.1


def test_numbers_depend_on_the_seed_alone():
    field = exact.two_spheres()
    assert measured(field) == measured(field)
    assert measured(field, seed=1) != measured(field)


def test_a_decoder_against_slow_twins():
    torch.manual_seed(0)
    decoder = SkipMLP(2, width=32, depth=3, skip=2, radius=0.6).double()
    latent = torch.tensor([0.3, -0.2], dtype=torch.float64)
    found = sample_field(decoder, latent, EXTENT, 200, resolution=32)
    numbers = diagnose_field(decoder, latent, EXTENT, num_points=200, resolution=32, num_rays=50)
    lengths, values = [], []
    for point in torch.from_numpy(found.space.points):
        place = point[None, None].requires_grad_()
        value = decoder(place, latent[None])
        lengths.append(float(torch.autograd.grad(value.sum(), place)[0].norm()))
        values.append(abs(float(value.detach())))
    mesh = found.surface.mesh
    far = trimesh.proximity.closest_point_naive(mesh, found.space.points)[1]
    rms = np.sqrt(np.mean((np.array(lengths) - 1) ** 2))
    assert numbers["gradient_rms_space"] == pytest.approx(rms, rel=1e-9)
    error = np.array(values) - far
    rmse = np.sqrt(np.mean(error**2))
    assert numbers["distance_rmse_space"] == pytest.approx(rmse, rel=1e-6)
    assert numbers["distance_max_space"] == pytest.approx(np.abs(error).max(), rel=1e-6)
    slope = found.space.value[:-1] - found.space.value[1:]
    apart = np.linalg.norm(np.diff(found.space.points, axis=0), axis=1)
    assert numbers["pair_excess"] >= (np.abs(slope) - apart).max()
    assert max(lengths) <= numbers["lipschitz_found"] <= numbers["lipschitz_certain"]


def test_exact_depths_are_those_of_the_nearest_plane_crossed():
    mesh = trimesh.creation.icosphere(1, 0.6)
    rng = np.random.default_rng(0)
    origins = np.full((60, 3), -2.0) + rng.normal(size=(60, 3))
    directions = rng.normal(scale=0.3, size=(60, 3)) - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    depth = mesh_depth(ZeroSurface(mesh), origins, directions)
    plane = (mesh.face_normals * mesh.triangles[:, 0]).sum(1)
    for origin, direction, found in zip(origins, directions, depth, strict=True):
        along = mesh.face_normals @ direction
        cut = (plane - mesh.face_normals @ origin) / along
        enter, leave = cut[along < 0].max(), cut[along > 0].min()  # a convex body
        assert found == pytest.approx(enter, abs=1e-9) if enter < leave else np.isinf(found)
    assert 10 < np.isfinite(depth).sum() < 60


def test_signs_and_distances_of_places():
    mesh = ZeroSurface(trimesh.creation.icosphere(4, 0.6))
    points = np.array([[0.0, 0, 0.1], [0.9, 0, 0], [0, -1.1, 0]])
    places = field_samples(SPHERE, NONE, points, mesh)
    np.testing.assert_allclose(places.signed_distance, [-0.5, 0.3, 0.5], atol=3e-3)
    np.testing.assert_allclose(places.value, places.signed_distance, atol=3e-3)
    assert places.error.max() < 3e-3
