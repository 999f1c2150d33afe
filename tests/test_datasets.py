"""What the pages of datasets/ tell people to type is typed here, on a few made-up scans."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml

from shapespace.cli.data import prepare
from shapespace.cli.main import main
from shapespace.config.arguments import build_parser
from shapespace.data.store.store import ScanStore
from shapespace.utils.files import read_lines
from tests.conftest import ROOT, ellipsoid

DATASETS = ROOT / "datasets"
SMALL = {
    "prepare": "--num-points 300 --workers 1",
    "data check": "--workers 1",
    "train": "--data.num_points 32 --data.batch_size 2 --data.repeats 1 --trainer.max_epochs 1 "
    "--preview.every 99 --trainer.accelerator cpu --trainer.devices 1 --data.num_workers 0 "
    "--model.decoder.init_args.depth 2 --model.decoder.init_args.skip 1",
    "reconstruct": "--num-points 64 --steps 2 --resolution 24 --detail none",
    "surface": "--steps 2 --resolution 24",
}


def lines(page):
    """The command lines of a page, in their order."""
    text = (DATASETS / page / "README.md").read_text()
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.S | re.M)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def run(line):
    """Type ``line``, smaller; a job of an array stands for all of them."""
    if "$SLURM_ARRAY_TASK_ID" in line:
        for job in range(1, 9):
            run(line.replace("$SLURM_ARRAY_TASK_ID", str(job)))
        return
    words: list[str] = []
    for word in shlex.split(line):
        words += sorted(map(str, Path().glob(word))) if re.search(r"^[^(]*\*", word) else [word]
    assert words.pop(0) == "shapespace", line
    command = " ".join(words[: 1 + (words[0] == "data")])
    code = main([*words, *shlex.split(SMALL.get(command, ""))])
    # After so few steps a mesh may lie far from its scan.
    may_fail = ("data check", "reconstruct", "surface")
    assert code in ((0, 1) if command in may_fail else (0,)), line


def mesh(path, radii=(0.5, 0.8, 0.3)):
    ball = trimesh.creation.icosphere(2)
    ball.vertices *= radii
    path.parent.mkdir(parents=True, exist_ok=True)
    ball.export(path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with the recipes, where the lines are typed."""
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(ROOT / "configs")
    Path("datasets").symlink_to(DATASETS)
    return tmp_path


def write_dfaust(folder, count=6):
    """Three people, three motions, registrations and as many raw scans."""
    import h5py

    sizes = {}
    for person in ("50002", "50025", "50026"):
        for motion in ("chicken_wings", "hips", "one_leg_jump"):
            radii = sizes[f"{person}_{motion}"] = 0.5 + 0.01 * np.arange(count)
            for frame, radius in enumerate(radii, 1831):
                name = f"scans/{person}/{motion}/{motion}.{frame:06d}.ply"
                mesh(folder / name, 3 * [radius])
    ball = trimesh.creation.icosphere(2)
    with h5py.File(folder / "registrations_m.hdf5", "w") as file:
        file["faces"] = ball.faces.astype("uint32")
        for name, radii in sizes.items():
            file[name] = (ball.vertices[:, :, None] * radii).astype("f4")


@pytest.mark.slow
def test_dfaust(home):
    write_dfaust(home / "dfaust")
    for line in lines("dfaust"):
        run(line)
    names = ScanStore("dfaust.hdf5").names
    assert len(names) == 18 and names == ScanStore("registrations.hdf5").names
    test = read_lines("splits/test.txt")
    assert {name.split("_")[0] for name in test} == {"50025", "50026"} and len(test) == 12
    assert list(ScanStore("truth.hdf5").names) == test
    assert Path("out/50025_chicken_wings_001831.ply").exists()


@pytest.mark.slow
def test_faust(home):
    for number in range(100):
        mesh(home / f"MPI-FAUST/training/scans/tr_scan_{number:03d}.ply", 3 * [0.5 + number / 1000])
    mesh(home / "MPI-FAUST/test/scans/test_scan_000.ply")
    for line in lines("faust"):
        run(line)
    assert read_lines("faust_people/test.txt") == [f"tr_scan_{i:03d}" for i in range(80, 100)]
    poses = read_lines("faust_poses/test.txt")
    assert poses == [f"tr_scan_{i:03d}" for i in range(100) if i % 10 in (8, 9)]
    assert Path("out/test_scan_000.ply").exists()


@pytest.mark.slow
def test_folder(home):
    for person, size in (("anna", 0.5), ("bert", 0.6)):
        for motion in ("run", "walk"):
            mesh(home / f"my_scans/{person}/{motion}/0001.ply", 3 * [size])
            mesh(home / f"my_scans/{person}_{motion}_0090.obj", 3 * [size])
    for line in lines("folder"):
        run(line)
    assert len(ScanStore("scans.hdf5")) == 8
    assert all("_walk_" in name for name in read_lines("splits_of_motions/test.txt"))
    assert len(read_lines("splits_too/test.txt")) == 4


@pytest.mark.slow
def test_clouds(home):
    Path("clouds").mkdir()
    points, normals = ellipsoid((0.5, 0.6, 0.4), 2000)
    np.savetxt("clouds/bunny.xyz", points)
    np.savetxt("clouds/known.xyz", np.hstack([points, normals]))
    np.savetxt("rig.txt", 3 * np.vstack([np.eye(3), -np.eye(3)]))
    for line in lines("clouds"):
        run(line.replace("--num-points 300", ""))
    kinds = {
        store: [ScanStore(f"{store}.hdf5").scan(name).normals_kind for name in ("bunny", "known")]
        for store in ("clouds", "seen", "given", "bare")
    }
    assert kinds == {
        "clouds": ["estimated-oriented", "measured"],
        "seen": ["estimated-oriented", "measured"],
        "given": ["none", "measured"],
        "bare": ["none", "none"],
    }
    seen = ScanStore("seen.hdf5").scan("bunny")
    assert seen.normals is not None
    assert (np.einsum("nd,nd->n", seen.points, seen.normals) > 0).mean() > 0.99
    assert Path("bunny.ply").exists()


def test_recipes_hold_options_of_prepare():
    parser = build_parser(prepare)
    for path in DATASETS.rglob("prepare.yaml"):
        values = yaml.safe_load(path.read_text())
        given = parser.parse_args(["source", "store", f"--config={path}"])
        assert {name: given[name] for name in values} == values
        text = (path.parent / "README.md").read_text()
        assert f"--config datasets/{path.parent.name}/prepare.yaml" in text
    path = DATASETS / "dfaust" / "prepare.yaml"
    every = parser.parse_args(["a", "b", f"--config={path}", "--every", "1"])["every"]
    assert every == 1


@pytest.mark.parametrize("page", sorted(path.parent.name for path in DATASETS.glob("*/README.md")))
def test_pages(page):
    text = (DATASETS / page / "README.md").read_text()
    assert all(word in text.lower() for word in ("licence", "shapespace"))
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (DATASETS / page / target).exists(), target


def test_splits_are_sorted_lists():
    for path in DATASETS.rglob("*.txt"):
        names = read_lines(path)
        assert names == sorted(set(names)), path
