"""One scan to one mesh, in the frame and units of the scan."""

import numpy as np
import pytest
import trimesh

from shapespace.cli.main import main
from shapespace.config.options import SurfaceOptions
from shapespace.config.recipes import SURFACE
from shapespace.errors import InputError
from shapespace.reconstruction.single_scan import _reads_sigma, reconstruct_surface

CENTRE, RADIUS = np.array([1500.0, -300.0, 900.0]), 80.0
RECIPE = """
seed_everything: 0
model:
  decoder:
    class_path: shapespace.decoders.SkipMLP
    init_args: {latent_size: 0, width: 48, depth: 3, skip: 0}
  objective:
    class_path: shapespace.objectives.IGR
  sampler:
    class_path: shapespace.sampling.NearSurface
  lr: 2.0e-3
data: {store: one.hdf5, batch_size: 1, num_points: 128, repeats: 50}
trainer: {accelerator: cpu}
preview: {every: 1000000}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def scan(tmp_path):
    """A squeezed sphere in millimetres, far from the origin."""
    directions = np.random.default_rng(0).normal(size=(400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = CENTRE + RADIUS * directions * [1.0, 0.8, 0.9]
    np.savez(tmp_path / "scan.npz", points=points, normals=directions)
    return tmp_path / "scan.npz"


def options(recipe, **others):
    return SurfaceOptions(config=str(recipe), **others)


def test_the_mesh_surrounds_the_scan_in_its_own_units(scan, recipe, tmp_path):
    out = tmp_path / "out" / "mesh.obj"
    text = str(reconstruct_surface(scan, out, options(recipe, steps=60, resolution=24)))
    mesh = trimesh.load_mesh(out)
    assert text == f"wrote {out}: {len(mesh.faces)} faces, watertight"
    assert mesh.volume > 0
    points = np.load(scan)["points"]
    np.testing.assert_allclose(mesh.bounds, [points.min(0), points.max(0)], atol=0.3 * RADIUS)
    found = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["mesh.obj", "recipe.yaml", "scan.npz"]


def test_what_of_the_scan_is_not_used_or_left_out_is_said(scan, recipe, tmp_path):
    points = np.load(scan)["points"]
    points[:9] = np.nan
    np.savetxt(tmp_path / "a.csv", np.hstack([points, 3 * points]), delimiter=",")
    few = options(recipe, steps=50, resolution=16)
    with pytest.raises(InputError, match="--columns"):
        reconstruct_surface(tmp_path / "a.csv", tmp_path / "a.ply", few)
    few = options(recipe, steps=50, resolution=16, columns="x,y,z,vx,vy,vz")
    result = reconstruct_surface(tmp_path / "a.csv", tmp_path / "a.ply", few)
    said, wrote = str(result).split("\n")[:2]
    assert said == (
        f"{tmp_path / 'a.csv'}: read x y z; not used: vx vy vz; "
        "left out: 9 of 400 points (2%), NaN or infinite"
    )
    assert wrote.startswith(f"wrote {tmp_path / 'a.ply'}")


def test_a_run_folder_is_kept_and_goes_on(scan, recipe, tmp_path, capsys):
    run = tmp_path / "run"
    for name in ("a.ply", "b.ply"):
        reconstruct_surface(
            scan, tmp_path / name, options(recipe, steps=50, resolution=16, run=str(run))
        )
    assert {"last.ckpt", "metrics.csv", "config.yaml"} <= {path.name for path in run.iterdir()}
    assert "going on from" in capsys.readouterr().err
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_the_output_is_checked_before_the_training(scan, recipe, tmp_path, monkeypatch):
    from shapespace.reconstruction import single_scan as surface

    (tmp_path / "wall").write_text("")
    monkeypatch.setattr(surface, "_train", lambda *_: pytest.fail("trained in vain"))
    for out, run in (("wall/mesh.ply", None), ("mesh.ply", tmp_path / "wall" / "run")):
        with pytest.raises(InputError, match="wall"):
            reconstruct_surface(scan, tmp_path / out, options(recipe, run=run and str(run)))


def test_a_stray_part_does_not_take_the_place_of_the_body(scan, recipe, tmp_path):
    points = np.load(scan)["points"]
    normals = np.load(scan)["normals"]
    far = points[:9] + RADIUS * np.array([30.0, 0, 0])
    np.savez(
        tmp_path / "far.npz",
        points=np.concatenate([points, far]),
        normals=np.concatenate([normals, normals[:9]]),
    )
    out = tmp_path / "mesh.obj"
    text = str(
        reconstruct_surface(tmp_path / "far.npz", out, options(recipe, steps=60, resolution=24))
    )
    bounds = trimesh.load_mesh(out).bounds
    np.testing.assert_allclose(bounds, [points.min(0), points.max(0)], atol=0.3 * RADIUS)
    assert "left out 2.20% of the points, which lie beyond 1.5 radii, up to 28" in text
    assert "FAILED" not in text


def test_a_mesh_far_from_its_scan_is_failed_and_the_exit_code_is_1(recipe, tmp_path, capsys):
    needle = trimesh.creation.icosphere(3)
    needle.vertices *= [1.0, 0.05, 0.05]
    needle.visual.vertex_colors = np.full((len(needle.vertices), 4), 200, np.uint8)
    needle.export(tmp_path / "needle.ply")
    words = ["surface", tmp_path / "needle.ply", "--out", tmp_path / "mesh.ply"]
    words += ["--config", recipe, "--steps", 1, "--resolution", 16]
    assert main([str(word) for word in words]) == 1
    account, result = capsys.readouterr().out.splitlines()
    assert account.endswith("not used: red green blue alpha")
    assert "FAILED: " in result and (tmp_path / "mesh.ply").exists()


def test_sigma_is_measured_if_the_sampler_of_the_recipe_reads_it(tmp_path):
    cases = {
        "{model: {sampler: {class_path: shapespace.sampling.NearSurface}}}": True,
        "{model: {sampler: {class_path: NearSurface, init_args: {sigma: 0.1}}}}": False,
        "{model: {sampler: {class_path: NearSurface, init_args: {near: 0.0}}}}": False,
        "{model: {sampler: {class_path: NearSurface, init_args: {sigma: -1}}}}": True,
        "{model: {sampler: {class_path: my.Sampler}}}": True,
        "{model: {sampler: {class_path: my.NearSurface, init_args: {sigma: 0.1}}}}": True,
        "{model: {sampler: my.Sampler}}": True,
        "{model: {}}": True,
        "[": True,
    }
    for number, (text, expected) in enumerate(cases.items()):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert _reads_sigma(str(path)) == expected, text
    for name, expected in (("surface", True), ("toy", False), ("nothing.yaml", True)):
        assert _reads_sigma(name) == expected, name


def test_a_scan_of_fewer_points_than_the_recipe_takes(tmp_path):
    np.savez(tmp_path / "few.npz", points=np.random.default_rng(0).normal(size=(60, 3)))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    result = reconstruct_surface(
        tmp_path / "few.npz", tmp_path / "m.ply", options(recipe, steps=1, resolution=16)
    )
    assert str(result).startswith(f"wrote {tmp_path / 'm.ply'}")


@pytest.mark.parametrize(("out", "steps"), [("mesh.txt", 10), ("mesh", 10), ("mesh.ply", 0)])
def test_a_wrong_argument(out, steps, scan, tmp_path):
    with pytest.raises(InputError, match=r"unknown mesh suffix|steps=0"):
        reconstruct_surface(scan, tmp_path / out, SurfaceOptions(steps=steps))
    assert list(tmp_path.iterdir()) == [scan]


def test_a_plane_scan(tmp_path):
    np.save(tmp_path / "flat.npy", np.random.default_rng(0).normal(size=(99, 2)))
    with pytest.raises(InputError, match=r"flat\.npy: a mesh needs points in 3-D"):
        reconstruct_surface(tmp_path / "flat.npy", tmp_path / "mesh.ply")


def test_a_file_called_surface_is_not_taken_for_the_built_in_recipe(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "surface").write_text("not a recipe")
    seen = []

    def train(arguments):
        seen.extend(arguments)
        raise InputError("trained no further")

    monkeypatch.setattr("shapespace.training.cli.train", train)
    with pytest.raises(InputError, match="trained no further"):
        reconstruct_surface(scan, tmp_path / "mesh.ply")
    assert f"--config={SURFACE}" in seen
