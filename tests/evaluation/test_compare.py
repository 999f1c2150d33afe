"""Scores of shapes whose distance is known, from meshes and from files."""

import json
import math

import numpy as np
import pytest
import trimesh

from shapespace.cli.main import main
from shapespace.data.formats.readers import checked
from shapespace.errors import InputError
from shapespace.evaluation.compare import compare_files, sampled_raw, scores_of
from shapespace.evaluation.definitions import definition

SAMPLES = 2000


def sphere(radius):
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


@pytest.fixture
def files(tmp_path):
    """Two concentric spheres, 10 mm apart, and points of the inner one."""
    sphere(0.51).export(tmp_path / "outer.ply")
    sphere(0.5).export(tmp_path / "inner.stl")
    np.savetxt(tmp_path / "scan.xyz", sphere(0.5).vertices)
    return [str(tmp_path / name) for name in ("outer.ply", "inner.stl", "scan.xyz")]


def test_scores_have_a_part_for_each_target_and_facts_of_the_mesh():
    ball = sphere(1.1)
    ball.metadata.update(dropped_components=2, dropped_area_share=0.1)
    found = scores_of(
        "60001_ball", ball, {"registration": sphere(1.0), "scan": sphere(1.0)}, SAMPLES
    )
    assert found.group == "60001"
    assert list(found.parts) == ["registration", "scan", "mesh", "seconds"]
    assert found.value("registration", "point_to_mesh") == pytest.approx(0.1, abs=2e-3)
    assert found.parts["mesh"]["components"] == 3
    assert found.value("mesh", "ghost_area_share") == pytest.approx(0.1)
    assert found.value("seconds", "metrics") > 0
    assert math.isnan(found.value("fit", "steps"))


def test_a_lost_shape_has_scores_and_a_lost_target_is_named():
    lost = scores_of("ghost", trimesh.Trimesh(), {"registration": sphere(1.0)}, SAMPLES)
    assert lost.value("registration", "chamfer_half_unsquared") == math.inf
    assert lost.parts["mesh"]["components"] == 0
    with pytest.raises(InputError, match="ghost: the registration has no surface"):
        scores_of("ghost", sphere(1.0), {"registration": trimesh.Trimesh()})


def test_a_cloud_is_thinned_to_as_many_points_as_are_drawn_of_a_mesh():
    points = np.random.default_rng(0).normal(size=(300, 3))
    raw = checked(points, normals=points)
    whole, thin = sampled_raw(raw, 1.0, 300), sampled_raw(raw, 1000.0, 100)
    np.testing.assert_array_equal(whole.points, points)
    assert thin.points.shape == thin.normals.shape == (100, 3) and thin.mesh is None
    rows = [np.flatnonzero((points / 1000 == row).all(1)).item() for row in thin.points]
    assert len(set(rows)) == 100
    np.testing.assert_array_equal(thin.normals, raw.normals[rows])


def test_files_are_compared_in_metres_whatever_their_unit(files, tmp_path):
    metres = compare_files(files[:1], files[1], "m", SAMPLES)[0]
    for path in files[:2]:
        mesh = trimesh.load_mesh(path, process=False)
        mesh.apply_scale(1000).export(tmp_path / f"mm_{path.rpartition('/')[2]}")
    large = [str(tmp_path / name) for name in ("mm_outer.ply", "mm_inner.stl")]
    again = compare_files(large[:1], large[1], "mm", SAMPLES)[0]
    for column, value in metres.parts["target"].items():
        assert again.value("target", column) == pytest.approx(value, rel=1e-3, abs=1e-6), column
    assert metres.value("target", "point_to_mesh") == pytest.approx(0.01, abs=1e-3)
    assert metres.parts["mesh"]["watertight"] and metres.parts["mesh"]["genus"] == 0


def test_compare_prints_every_convention_and_writes_exact_numbers(files, tmp_path, capsys):
    out = tmp_path / "new" / "found.json"
    options = ["--out", str(out), "--num-samples", "500"]
    assert main(["compare", *files, *options]) == 0
    text = capsys.readouterr().out
    assert text.split()[:2] == ["outer.ply", "inner.stl"]
    for name in ("chamfer_half_unsquared", "chamfer_sum_squared", "hausdorff_from", "fscore_5mm"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert definition(name).text in line
    found = json.loads(out.read_text())
    assert [shape["name"] for shape in found["shapes"]] == ["outer.ply", "inner.stl"]
    chamfer = found["shapes"][0]["target"]["chamfer_half_unsquared"]
    assert f"{1000 * chamfer:.2f}" in text
    assert "chamfer_half_unsquared" in found["conventions"]
    assert main(["compare", files[0], files[0], "--unit", "none", "--num-samples", "500"]) == 0
    assert "fscore_0.1_percent" in capsys.readouterr().out


def test_five_numbers_stand_first(files, capsys):
    first = ["point_to_mesh", "chamfer_half_unsquared", "hausdorff"]
    for unit, fscore in (("m", "fscore_5mm"), ("none", "fscore_0.5_percent")):
        assert main(["compare", *files[:2], "--num-samples", "500", "--unit", unit]) == 0
        lines = capsys.readouterr().out.splitlines()
        found = [line.split()[0] for line in lines[1:6]]
        assert found == [*first, fscore, "normal_consistency"] and lines[6] == ""
        assert lines[7].startswith("chamfer_to ")


def test_columns_are_as_the_user_names_them_and_the_rest_is_said(files, tmp_path, capsys):
    points = np.loadtxt(files[2])
    for name in ("a.xyz", "b.xyz"):
        np.savetxt(tmp_path / name, np.hstack([3 * points, points]))
    words = ["compare", str(tmp_path / "a.xyz"), files[2], "--num-samples", "500"]
    assert main(words) == 2
    assert "--columns" in capsys.readouterr().err
    words[2] = str(tmp_path / "b.xyz")
    assert main([*words, "--columns", "u,v,w,x,y,z"]) == 0
    text = capsys.readouterr().out
    assert "2 scans: read x y z; not used: u v w" in text
    points[3] = np.nan
    np.savetxt(tmp_path / "nan.xyz", points)
    words = ["compare", files[2], str(tmp_path / "nan.xyz"), "--num-samples", "500"]
    assert main(words) == 0
    assert "nan.xyz: read x y z; left out: 1 of" in capsys.readouterr().out
    assert main([*words, "--strict"]) == 2
    assert "nan.xyz" in capsys.readouterr().err


def test_what_cannot_be_compared_is_said(files, tmp_path, capsys):
    flat = tmp_path / "flat.xyz"
    np.savetxt(flat, np.random.default_rng(0).normal(size=(60, 2)))
    for words, message in (
        (files[:1], "give at least two files"),
        ([files[0], str(tmp_path / "none.ply")], "none.ply: cannot be read"),
        ([files[0], str(flat)], "another dimension"),
        ([*files, "--num-samples", "0"], "num_samples=0: give at least 1"),
    ):
        assert main(["compare", *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["compare", str(flat), str(flat)]) == 0
    assert "chamfer_sum_squared" in capsys.readouterr().out
