"""The page of the demo shows the best and the worst, and where each is off."""

import numpy as np
import pytest
import trimesh

from shapespace.report.html import Page
from shapespace.report.sections.demo import DemoCase, best_and_worst, gallery

pytest.importorskip("embreex", reason="pictures need shapespace[report]")
pytest.importorskip("igl", reason="exact distances need shapespace[report]")

BALL = trimesh.creation.icosphere(3, radius=0.2)


def case(name, radius):
    """A ball of radius 0.2 seen from above, reconstructed as one of another radius."""
    faces = BALL.faces[BALL.triangles_center[:, 2] > 0]
    scan = trimesh.Trimesh(BALL.vertices, faces)
    scan.remove_unreferenced_vertices()
    mesh = trimesh.Trimesh(BALL.vertices * radius / 0.2, BALL.faces, process=False)
    return DemoCase(name, scan, mesh, BALL)


def test_errors_are_those_of_the_spheres():
    found = case("a", 0.21)
    np.testing.assert_allclose(found.on_mesh, 0.01, atol=4e-4)
    np.testing.assert_allclose(found.on_scan, 0.01, atol=4e-4)
    height = np.asarray(found.mesh.vertices)[:, 2]
    assert found.seen[height > 0.02].all() and not found.seen[height < -0.05].any()
    assert (
        "10.0 mm on average, 10.0 mm where" in found.line() and "where it has none" in found.line()
    )


def test_best_and_worst_are_the_ends(tmp_path):
    empty = DemoCase("none", BALL, trimesh.Trimesh(), BALL)
    cases = [case("middle", 0.21), case("worst", 0.24), case("best", 0.201)]
    page = Page("demo")
    best_and_worst(page, [*cases, empty], tmp_path / "ends.png")
    (text,) = page.sections
    assert text.index("best: 1.0 mm") < text.index("worst: 40.0 mm")
    assert "middle" not in text and "1 more have no surface" in text
    assert "image/svg+xml" in text and "image/png" in text
    best_and_worst(page, [empty], tmp_path / "none.png")
    assert len(page.sections) == 1
    gallery(page, cases[:1], tmp_path / "all.png")
    assert "1 of 1" in page.sections[1]
