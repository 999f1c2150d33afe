"""What README and handbook tell people to type is typed here, on few points and with few steps."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapespace.cli.main import COMMANDS, main
from shapespace.data.store.store import ScanStore
from shapespace.space import TrainedSpace
from tests.conftest import ROOT, ellipsoid, write_registrations

README = "".join((ROOT / name).read_text() for name in ("README.md", "HANDBOOK.md"))
"""The first steps, and what each command does."""
SMALL = {
    "prepare": "--num-points 300 --workers 1",
    "data": "",
    "codes": "",
    "train": "--data.num_points 32 --data.batch_size 2 --trainer.max_epochs 1 --preview.every 99 "
    "--trainer.accelerator cpu --trainer.devices 1 --data.num_workers 0 "
    "--model.decoder.init_args.depth 2 --model.decoder.init_args.skip 1",
    "reconstruct": "--num-points 64 --steps 2 --resolution 24 --detail none",
    "interpolate": "--steps 2 --resolution 24",
    "render": "--size 32",
    "surface": "--steps 2 --resolution 24",
    "evaluate": "--num-points 64 --steps 2 --resolution 24 --detail none --num-samples 500",
    "diagnose": "--num-shapes 1 --num-points 300 --num-rays 16 --resolution 24",
    "report": "--steps 2 --resolution 24",
    "compare": "--num-samples 500",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands(word):
    """Lines of the first shell block that mentions ``word``."""
    block = next(block for block in blocks("") if word in block)
    lines = [line.strip() for line in block.splitlines()]
    return [line for line in lines if line.startswith("shapespace ")]


def run(line, more=(), **names):
    words = shlex.split(line)
    words = [names.get(word, word) for word in words]
    # With so few steps a mesh may lie far from its scan, which the command says and exits with 1.
    codes = (0, 1) if words[1] in ("reconstruct", "surface") else (0,)
    assert main([*words[1:], *SMALL[words[1]].split(), *more]) in codes, line


def write_scans(folder, **radii):
    """An ellipsoid each; the last is the new scan too."""
    folder.mkdir(exist_ok=True)
    for name, axes in radii.items():
        mesh = trimesh.creation.icosphere(3)
        mesh.vertices *= axes
        mesh.export(folder / f"{name}.ply")
        mesh.export("new_scan.ply")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with scans, where the lines are typed; recipes are known by name."""
    monkeypatch.chdir(tmp_path)
    Path("datasets").symlink_to(ROOT / "datasets")
    write_scans(Path("my_scans"), anna=(0.5, 0.8, 0.3), bert=(0.6, 0.9, 0.4))
    points, normals = ellipsoid((70.0, 90.0, 60.0))
    trimesh.Trimesh(points, vertex_normals=normals, process=False).export("bunny.ply")
    return tmp_path


@pytest.mark.slow
def test_own_scans(home):
    for line in commands("my_scans"):
        run(line, NAME_A="anna", NAME_B="bert")
    for line in commands("shapespace render"):
        run(line, **{"60001_hips_001466": "anna"})
    assert len(list(Path("views").glob("depth_*.png"))) == 4 and Path("out/views.ply").exists()
    Path("test.txt").write_text("bert\n")
    for line in commands("test.txt"):
        run(line)
    assert sorted(path.name for path in Path("test").glob("*.ply")) == ["bert.ply"]
    for path in ("out/new_scan.ply", "walk/000.ply", "bunny_surface.ply"):
        assert Path(path).exists()
    files = {"reconstruction.ply": "out/new_scan.ply", "truth.ply": "new_scan.ply"}
    for line in commands("shapespace evaluate"):
        run(line, **files)
    assert "Content-Security-Policy" in Path("runs/bodies-cpu/report.html").read_text()
    write_scans(Path("my_scans"), carl=(0.6, 0.7, 0.4))
    for line in commands("codes add"):
        run(line, ["--trainer.max_epochs=2"] if "shapespace train" in line else ())
    assert TrainedSpace.load("runs/more/last.ckpt").names == ("anna", "bert", "carl")


@pytest.mark.slow
def test_dfaust(home):
    write_registrations(home / "dfaust", {"50002_hips": 6, "50009_jumping_jacks": 51})
    scan = home / "scans/50002/hips/hips.000100.ply"
    scan.parent.mkdir(parents=True)
    Path("new_scan.ply").rename(scan)
    for line in commands("dfaust.hdf5"):
        run(line)
    assert len(ScanStore("dfaust.hdf5")) == 2 + 11
    assert Path("walk/strip.png").exists()


@pytest.mark.slow
def test_python(home):
    (code,) = blocks("python")
    assert "num_points=50_000" in code
    exec(compile(code.replace("50_000", "2_500"), "README.md", "exec"), {})
    new = trimesh.load_mesh("new_surface.ply")
    assert len(new.faces) and len(trimesh.load_mesh("halfway.ply").faces)
    assert np.isfinite(new.vertices).all()


def test_every_command_and_recipe_is_named():
    assert all(f"shapespace {name}" in README for name in COMMANDS if name not in ("mesh", "info"))
    for path in (ROOT / "configs").rglob("*.yaml"):
        if path.parent.name == "methods":
            continue  # shapespace methods lists them
        assert f"configs/{path.relative_to(ROOT / 'configs')}" in README, path.name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
