import mcubes
import numpy as np
import pytest
import torch

from shapespace.geometry.components import components, largest_component
from shapespace.scan import Frame
from shapespace.surface.mesh import Bounds, extract_mesh
from tests import exact

NONE = torch.zeros(0)


@pytest.mark.parametrize("resolution", [32, 64])
def test_sphere_is_watertight_outward_and_accurate_to_second_order(resolution):
    mesh = extract_mesh(exact.sphere(0.6), NONE, resolution)
    cell = 1.4 / (resolution - 1)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert components(mesh)[0] == 1
    assert 0 < mesh.volume < 4 / 3 * np.pi * 0.6**3
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.6).max() < cell**2 / 0.6


@pytest.mark.parametrize("field", [exact.torus(), exact.box(), exact.capsule()])
def test_vertices_lie_on_the_zero_set_within_a_cell(field):
    mesh = extract_mesh(field, NONE, 48)
    vertices = torch.from_numpy(np.asarray(mesh.vertices))[None]
    assert field(vertices, NONE).abs().max() < 0.02
    assert mesh.is_watertight and mesh.volume > 0


def test_bounded_grid_finds_what_the_dense_grid_finds():
    axis = np.linspace(-1.8, 1.8, 180, dtype=np.float32)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    volume = exact.torus()(torch.from_numpy(nodes), NONE).reshape(180, 180, 180).numpy()
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    dense = vertices * (axis[1] - axis[0]) - 1.8
    mesh = extract_mesh(exact.torus(), NONE, 96)
    np.testing.assert_allclose(mesh.bounds, [dense.min(0), dense.max(0)], atol=0.01)
    a, b, c = dense[faces].swapaxes(0, 1)
    assert abs(abs((a * np.cross(b, c)).sum()) / 6 - mesh.volume) < 0.01


def test_frame_takes_the_mesh_back_to_its_source():
    frame = Frame(np.array([100.0, -5.0, 2.0]), 1000.0)
    here, there = (extract_mesh(exact.box(), NONE, 32, frame=f) for f in (None, frame))
    np.testing.assert_allclose(there.vertices, frame.to_source(here.vertices))
    assert there.volume > 0


def test_no_zero_set_is_an_empty_mesh():
    mesh = extract_mesh(lambda points, latent: points.norm(dim=-1) + 1, NONE, 32)
    assert len(mesh.faces) == 0
    assert len(largest_component(mesh).faces) == 0


def test_largest_component_is_kept_unless_all_are_wanted():
    assert components(extract_mesh(exact.two_spheres(), NONE, 64, largest_only=False))[0] == 2
    mesh = extract_mesh(exact.two_spheres(), NONE, 64)
    assert components(mesh)[0] == mesh.metadata["dropped_components"] == 1
    whole = extract_mesh(exact.two_spheres(), NONE, 64, largest_only=False)
    share = mesh.metadata["dropped_area_share"]
    assert share == pytest.approx(1 - mesh.area / whole.area, abs=1e-3) and share > 0
    np.testing.assert_allclose(mesh.bounds, [[-0.4] * 3, [0.4] * 3], atol=0.01)


def test_surface_that_leaves_the_box_is_open():
    mesh = extract_mesh(lambda points, latent: points[..., 1] - 0.013, NONE, 32)
    assert len(mesh.faces) and not mesh.is_watertight


def test_code_is_used():
    def field(points, latent):
        return points.norm(dim=-1) - latent[:, :1]

    mesh = extract_mesh(field, torch.tensor([0.7]), 32)
    assert abs(mesh.extents.max() - 1.4) < 0.01


def test_resolution_must_be_a_grid():
    with pytest.raises(ValueError, match="resolution=1"):
        extract_mesh(exact.sphere(), NONE, 1)


def test_newton_steps_take_the_error_of_the_interpolation_away():
    rough, fine = (extract_mesh(exact.torus(), NONE, 40, newton_steps=n) for n in (0, 2))
    errors = [
        exact.torus()(torch.from_numpy(np.asarray(mesh.vertices))[None], NONE).abs().max()
        for mesh in (rough, fine)
    ]
    assert errors[1] < 0.02 * errors[0]
    np.testing.assert_array_equal(rough.faces, fine.faces)


def test_normals_are_the_gradient_in_any_frame():
    frame = Frame(np.array([100.0, -5.0, 2.0]), 1000.0)
    mesh = extract_mesh(exact.sphere(), NONE, 40, frame=frame, normals=True)
    outward = (mesh.vertices - frame.centre) / 1000
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.vertex_normals, outward, atol=1e-5)


def test_a_cell_is_a_length_in_the_sources_unit():
    millimetres = Frame(np.zeros(3), 1000.0)
    mesh = extract_mesh(exact.sphere(0.6), NONE, frame=millimetres, cell=40.0)
    assert 30 < np.median(mesh.edges_unique_length) < 45
    assert mesh.is_watertight


@pytest.mark.parametrize("cell", [0.0, -1.0, float("nan"), 1e-6])
def test_cells_that_cannot_be_are_refused(cell):
    with pytest.raises(ValueError, match="cell"):
        extract_mesh(exact.sphere(), NONE, cell=cell)


def test_an_occupancy_is_meshed_too():
    def occupancy(points, latent):
        return (10 * exact.torus()(points, latent)).clamp(-0.5, 0.5)

    one, other = (extract_mesh(field, NONE, 64) for field in (exact.torus(), occupancy))
    np.testing.assert_allclose(one.bounds, other.bounds, atol=0.01)
    assert abs(one.volume - other.volume) < 0.01 * one.volume


def test_known_bounds_save_the_search_and_lose_nothing():
    whole = extract_mesh(exact.sphere(0.6), NONE, 48)
    for low, high in ((-0.7, 0.7), (-0.3, 0.7)):  # around it, and with part of it outside
        bounds = Bounds(np.full(3, low), np.full(3, high), 1.0)
        near = extract_mesh(exact.sphere(0.6), NONE, 48, bounds=bounds)
        np.testing.assert_allclose(near.bounds, whole.bounds, atol=0.03)
        assert near.is_watertight and abs(near.volume / whole.volume - 1) < 0.02
    beside = Bounds(np.full(3, 1.0), np.full(3, 1.5), 1.0)
    assert len(extract_mesh(exact.sphere(0.6), NONE, 48, bounds=beside).faces) == 0
