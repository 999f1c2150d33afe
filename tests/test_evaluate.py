"""Scores of shapes whose distance is known, and the tables they go to."""

import csv
import math

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.evaluate import COLUMNS, CONVENTION, Score, rows_in_mm, score, table, write_scores

SAMPLES = 4000


def sphere(radius):
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


@pytest.fixture(scope="module")
def concentric():
    return score("ball", sphere(1.0), sphere(1.1), height=2.0, num_samples=SAMPLES)


def test_concentric_spheres_differ_by_their_radii(concentric):
    assert concentric.accuracy == pytest.approx(0.1, abs=2e-3)
    assert concentric.completeness == pytest.approx(0.1, abs=2e-3)
    assert concentric.point_to_mesh == pytest.approx(0.1, abs=2e-3)
    assert 0.1 <= concentric.chamfer < 0.115
    assert concentric.chamfer <= concentric.hausdorff
    assert concentric.watertight and concentric.components == 1


def test_a_shape_is_at_no_distance_from_itself():
    same = score("ball", sphere(1.0), sphere(1.0), num_samples=SAMPLES)
    assert same.point_to_mesh < 1e-7
    assert 0 < same.chamfer < 0.05, "two samples of one surface keep a floor"


def test_open_and_scattered_meshes_are_told():
    ball = sphere(1.0)
    opened = trimesh.Trimesh(ball.vertices, ball.faces[:-1], process=False)
    twins = trimesh.util.concatenate([ball, ball.copy().apply_translation([5, 0, 0])])
    assert not score("open", opened, ball, num_samples=100).watertight
    assert score("twins", twins, ball, num_samples=100).components == 2


def test_empty_reconstruction_is_infinitely_far_and_stops_no_table():
    lost = score("ghost", trimesh.Trimesh(), sphere(1.0))
    assert lost.chamfer == lost.point_to_mesh == lost.hausdorff == math.inf
    assert not lost.watertight and lost.components == 0
    assert "inf" in table([lost, score("ball", sphere(1.0), sphere(1.1))])


def test_empty_surface_is_named():
    with pytest.raises(InputError, match="ghost: the surface has no faces"):
        score("ghost", sphere(1.0), trimesh.Trimesh())


def test_rows_are_in_millimetres_and_end_with_the_median():
    scores = [
        Score(n, c, 0.002, 0.004, 0.01, n != "c", 1, 1.5)
        for n, c in zip("abc", (1.0, 2.0, 9.0), strict=True)
    ]
    *rows, median = rows_in_mm(scores)
    assert rows[0] == ["a", "1000.00", "3.00", "2.00", "4.00", "10.00", "0.20", "yes", "1"]
    assert rows[2][-2] == "NO"
    assert median == ["median", "2000.00", "3.00", "2.00", "4.00", "10.00", "0.20", "2/3", "1"]


def test_the_table_is_aligned_and_says_its_convention(concentric):
    header, *rows, convention = table([concentric]).splitlines()
    assert convention == CONVENTION
    assert all(name in header for name in COLUMNS)
    assert len({len(line) for line in (header, *rows)}) == 1


def test_the_csv_holds_exact_numbers(concentric, tmp_path):
    path = tmp_path / "scores" / "metrics.csv"
    write_scores([concentric], path)
    (row,) = csv.DictReader(path.open(newline=""))
    assert row["name"] == "ball" and row["watertight"] == "True"
    for name in ("chamfer", "accuracy", "completeness", "hausdorff", "height", "point_to_mesh"):
        assert float(row[name]) == getattr(concentric, name)
    assert np.isfinite(float(row["chamfer"]))
