import numpy as np
import pytest
import trimesh

from shapespace.synthetic.scanner import Scanner

pytest.importorskip("embreex", reason="rays are cast by embreex")


@pytest.fixture(scope="module")
def sphere():
    """A ball of radius 0.5 that stands on the floor."""
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=0.5)
    mesh.apply_translation([0.1, 0.5, -0.2])
    return mesh


MIDDLE = np.array([0.1, 0.5, -0.2])


def test_scan_of_a_ball(sphere):
    scan = Scanner()(sphere, seed=3)
    away = scan.vertices - MIDDLE
    radius = np.linalg.norm(away, axis=1)
    assert 5_000 < len(scan.vertices) < 80_000
    assert np.abs(radius - 0.5).mean() < 0.0015
    assert np.abs(radius - 0.5).max() < 0.01
    outward = np.einsum("ki,ki->k", scan.triangles_center - MIDDLE, scan.face_normals)
    assert np.mean(outward > 0) > 0.999
    assert not scan.is_watertight


def test_soles_are_missing_and_sides_are_not(sphere):
    height = Scanner()(sphere).vertices[:, 1]
    assert height.min() > 0.01
    assert height.max() > 0.99


def test_same_seed_same_scan(sphere):
    small = Scanner(num_cameras=3, pitch=0.03)
    one, two, other = small(sphere, 5), small(sphere, 5), small(sphere, 6)
    assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.faces, two.faces)
    assert not np.array_equal(one.vertices[:100], other.vertices[:100])


def test_without_faults_points_are_on_the_surface(sphere):
    perfect = Scanner(num_cameras=3, pitch=0.02, white=0.0, smooth=0.0, register=0.0, dropout=0.0)
    gap = trimesh.proximity.closest_point_naive(sphere, perfect(sphere).vertices[:50])[1]
    assert gap.max() < 1e-5


def test_what_is_hidden_is_missing_and_jumps_are_not_bridged(sphere):
    front = trimesh.creation.icosphere(subdivisions=4, radius=0.2)
    front.apply_translation([0.1, 0.5, 1.0])
    one_camera = Scanner(num_cameras=1, heights=(0.5,), distance=3.0)
    scan = one_camera(trimesh.util.concatenate([sphere, front]))
    z = scan.vertices[scan.faces][..., 2]
    assert np.ptp(z, axis=1).max() < 0.06
    assert np.any(z > 0.9) and np.any(z < 0.3)
