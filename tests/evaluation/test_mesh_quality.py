"""Parts, closedness, genus, area and volume of meshes that are known."""

import numpy as np
import pytest
import trimesh

from shapespace.evaluation.mesh_quality import genus, mesh_facts
from shapespace.geometry.components import largest_component


def ball(radius=1.0, at=0.0):
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return mesh.apply_translation([at, 0, 0])


def ring(at=0.0):
    mesh = trimesh.creation.torus(1.0, 0.3, major_sections=24, minor_sections=12)
    return mesh.apply_translation([at, 0, 0])


def join(*meshes):
    return trimesh.util.concatenate(list(meshes))


@pytest.mark.parametrize(
    ("mesh", "handles"),
    [
        (ball(), 0),
        (ring(), 1),
        (join(ball(), ball(at=3)), 0),
        (join(ring(), ball(at=3), ring(at=6)), 2),
    ],
)
def test_genus(mesh, handles):
    found = mesh_facts(mesh)
    assert found["genus"] == genus(mesh) == handles
    naive = sum(1 - part.euler_number // 2 for part in mesh.split(only_watertight=False))
    assert naive == handles


def test_sheets_that_only_touch_in_a_point_count_as_two():
    """Two tetrahedra with one vertex in common: V - E + F = 7 - 12 + 8 is odd."""
    points = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float
    )
    one = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    two = np.where(one > 0, one + 3, 0)[:, ::-1]
    mesh = trimesh.Trimesh(points, np.concatenate([one, two]), process=False)
    assert mesh.is_watertight and genus(mesh) == 0


def test_a_box_has_its_area_and_volume():
    found = mesh_facts(trimesh.creation.box(extents=(1, 2, 3)))
    assert found == {
        "faces": 12,
        "components": 1,
        "watertight": True,
        "area": pytest.approx(22),
        "ghost_components": 0,
        "ghost_area_share": 0,
        "genus": 0,
        "volume": pytest.approx(6),
    }


def test_ghosts_are_counted_also_those_that_meshing_dropped():
    found = mesh_facts(join(ball(2.0), ball(1.0, at=5)))
    assert found["components"] == 2 and found["ghost_components"] == 1
    assert found["ghost_area_share"] == pytest.approx(1 / 5)
    kept = largest_component(join(ball(2.0), ball(1.0, at=5), ball(1.0, at=9)))
    assert kept.metadata["dropped_components"] == 2
    again = mesh_facts(kept, 2, kept.metadata["dropped_area_share"])
    assert (again["components"], again["ghost_components"]) == (3, 2)
    assert again["ghost_area_share"] == pytest.approx(1 / 3)


def test_open_and_empty_meshes_have_neither_volume_nor_genus():
    opened = trimesh.Trimesh(ball().vertices, ball().faces[:-1], process=False)
    found = mesh_facts(opened)
    assert not found["watertight"] and "volume" not in found and "genus" not in found
    assert mesh_facts(trimesh.Trimesh()) == {
        "faces": 0,
        "components": 0,
        "watertight": False,
        "area": 0.0,
    }


def test_a_soup_of_triangles_is_the_mesh_that_it_draws():
    whole = ring()
    soup = trimesh.Trimesh(
        whole.triangles.reshape(-1, 3),
        np.arange(3 * len(whole.faces)).reshape(-1, 3),
        process=False,
    )
    assert not soup.is_watertight
    assert mesh_facts(soup) == pytest.approx(mesh_facts(whole))
