"""A whole split at once: scans of a store, names from a list, shares of ranks that do not talk."""

import os
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from shapespace.cli.main import main
from shapespace.config.options import FitOptions
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import prepare_scan
from shapespace.data.prepare.run import prepare
from shapespace.data.sources import collect_sources
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.scan import Frame
from tests.conftest import ROOT, ellipsoid
from tests.reconstruction.test_reconstruct import QUICK, load, write_cloud
from tests.waiting import PATIENCE

NAMES = ("a", "b", "c", "d")
OPTIONS = (
    *("--num-points", "64", "--resolution", "20", "--batch", "1"),
    *("--detail", "none"),
)
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Not one of many, wherever the tests run."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four clouds, each somewhere else."""
    path = tmp_path_factory.mktemp("scans") / "in"
    for number, name in enumerate(NAMES):
        write_cloud(path / f"{name}.npz", shift=np.array([3.0 * number, 0, 0]), count=300 + number)
    return path


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    """The same four as a store."""
    path = tmp_path_factory.mktemp("store") / "scans.hdf5"
    prepare(folder, path, progress=False)
    return path


@pytest.fixture
def run(toy_checkpoint, capsys):
    """Call ``shapespace reconstruct``: exit code, lines of output, the error.

    The toy is trained so little that its meshes lie far from the scans, which is exit code 1.
    """

    def call(*arguments):
        words = ["reconstruct", toy_checkpoint, *arguments, *OPTIONS]
        code = main([str(word) for word in words])
        code = 0 if code == 1 else code
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if "error: " in line]
        return code, captured.out.splitlines(), "".join(errors)

    return call


def start(environ, *words):
    """A process with a launcher's variables."""
    command = [sys.executable, *map(str, words)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environ}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True)


def contents(folder, pattern):
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def expected_files(scans=NAMES):
    return sorted(f"{name}{suffix}" for name in scans for suffix in (".ply", ".npy", ".json"))


def test_shards_together_are_one_call_and_their_number_may_change(folder, tmp_path, run):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(folder, "--out", whole)[0] == 0
    for part in (1, 2, 3):
        code, lines, _ = run(folder, "--out", parts, "--shard", f"{part}/3")
        count = 2 if part == 1 else 1
        assert code == 0 and len(lines) == count + 1
        assert lines[-1] == f"share {part} of 3: {count} reconstructed, 0 kept, 0 skipped"
    assert names(parts) == names(whole) == expected_files()
    assert contents(parts, "*.npy") == contents(whole, "*.npy")
    assert contents(parts, "*.ply") == contents(whole, "*.ply")
    before = times(parts)
    for shard in ("1/2", "2/2"):
        code, lines, _ = run(folder, "--out", parts, "--shard", shard)
        assert lines[-1] == f"share {shard[0]} of 2: 0 reconstructed, 2 kept, 0 skipped"
    code, lines, _ = run(folder, "--out", parts)
    assert code == 0 and lines == ["kept 4 that were done before (--again does them anew)"]
    assert times(parts) == before


def test_an_interrupted_share_goes_on_with_any_number_of_ranks(folder, tmp_path, run):
    run(folder, "--out", tmp_path, "--shard", "2/4")
    before = times(tmp_path)
    code, lines, _ = run(folder, "--out", tmp_path)
    assert code == 0 and len(lines) == 4 and lines[-1].startswith("kept 1 ")
    assert names(tmp_path) == expected_files()
    assert before.items() <= times(tmp_path).items()


def test_a_store_gives_what_its_folder_gives(folder, store, toy_checkpoint, tmp_path):
    results = {
        source.name: reconstruct_files(
            toy_checkpoint, collect_sources([source]), tmp_path / source.name, **QUICK
        ).done
        for source in (folder, store)
    }
    for file, stored in zip(results["in"], results["scans.hdf5"], strict=True):
        assert file.name == stored.name
        # the same points in the same order: a cloud is shuffled by its name and the seed
        np.testing.assert_allclose(stored.code, file.code, atol=1e-5)
        np.testing.assert_allclose(load(stored.path).bounds, load(file.path).bounds, atol=1e-4)
        assert stored.facts["unit"] == "m" and stored.facts["scan"] == f"{store}/{file.name}"


def test_a_mesh_of_a_store_is_sampled_once(toy_checkpoint, tmp_path):
    ball = trimesh.creation.icosphere(4)
    (tmp_path / "in").mkdir()
    trimesh.Trimesh(ball.vertices * (1, 0.8, 1.1) + 7, ball.faces).export(tmp_path / "in/a.ply")
    prepare(tmp_path / "in", tmp_path / "s.hdf5", num_points=5000, progress=False)
    fit, found = FitOptions(num_points=4000, detail="none"), []
    for number, source in enumerate(("in", "s.hdf5")):
        sources, out = collect_sources([tmp_path / source]), tmp_path / f"out{number}"
        found += reconstruct_files(toy_checkpoint, sources, out, fit, QUICK["meshing"]).done
    bounds = [load(done.path).bounds for done in found]
    np.testing.assert_allclose(*bounds, atol=0.05)
    assert np.abs(bounds[0].mean(0) - 7).max() < 0.3


def test_meshes_of_a_store_lie_in_the_frame_and_unit_of_the_source(toy_checkpoint, tmp_path):
    write_cloud(tmp_path / "in/a.npz", 1000.0)
    store = tmp_path / "scans.hdf5"
    prepare(tmp_path / "in", store, unit="mm", progress=False)
    sources, out = collect_sources([store]), tmp_path / "out"
    (done,) = reconstruct_files(toy_checkpoint, sources, out, **QUICK).done
    centre = np.load(tmp_path / "in/a.npz")["points"].mean(0)
    np.testing.assert_allclose(load(done.path).bounds.mean(0), centre, atol=300.0)
    assert done.facts["unit"] == "mm" and done.facts["scale"] == 1000.0
    assert "read as mm" in done.line()
    write_cloud(tmp_path / "in/a.npz", 1000.0, count=310)
    prepare(tmp_path / "in", store, unit="mm", progress=False)
    again = reconstruct_files(toy_checkpoint, collect_sources([store]), out, **QUICK)
    assert again.kept == [] and again.done[0].facts["scan_sha256"] != done.facts["scan_sha256"]
    sources = collect_sources([store])
    assert reconstruct_files(toy_checkpoint, sources, out, **QUICK).kept == ["a"]


def test_a_store_in_a_scale_without_a_name(toy_checkpoint, tmp_path):
    points, normals = ellipsoid((1.0, 0.9, 1.1))
    scan = prepare_scan(checked(points, normals=normals), "a")
    object.__setattr__(scan, "frame", Frame(scan.frame.centre, 2.5))
    with StoreWriter(tmp_path / "s.hdf5", "m", 3) as writer:
        writer.add(scan)
    sources = collect_sources([tmp_path / "s.hdf5"])
    (done,) = reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **QUICK).done
    assert done.facts["unit"] == "1/2.5 m"
    assert np.ptp(load(done.path).vertices, axis=0).max() == pytest.approx(5.5, abs=1.0)


def test_a_store_of_another_unit(folder, toy_checkpoint, tmp_path):
    store = tmp_path / "radius.hdf5"
    prepare(folder, store, normalise=True, progress=False)
    sources = collect_sources([store])
    message = r"radius\.hdf5: its unit is radius, that of the space m; .* without --normalise"
    for share in ((1, 1), (1, 2)):
        with pytest.raises(InputError, match=message):
            reconstruct_files(toy_checkpoint, sources, tmp_path / "out", share=share, **QUICK)


@pytest.mark.parametrize("kind", ["folder", "store", "files"])
def test_a_list_names_the_scans(kind, folder, store, tmp_path, run):
    given = {"folder": [folder], "store": [store], "files": sorted(folder.glob("*.npz"))}[kind]
    listed = tmp_path / "test.txt"
    listed.write_text("c\n\na\n")
    code, _, _ = run(*given, "--scans", listed, "--out", tmp_path / "out")
    assert code == 0 and names(tmp_path / "out") == expected_files("ac")
    listed.write_text("a\nbb\n")
    code, lines, error = run(*given, "--scans", listed, "--out", tmp_path / "none")
    assert (code, lines) == (2, []) and not (tmp_path / "none").exists()
    assert error.endswith("error: scans: no scan is called 'bb'; the nearest is 'b'")


def test_a_share_without_scans_ends_well(folder, tmp_path, run):
    code, lines, error = run(folder, "--out", tmp_path / "out", "--shard", "5/5")
    assert (code, error) == (0, "") and not (tmp_path / "out").exists()
    assert lines == ["share 5 of 5: nothing to do, there are fewer scans than shares"]


def test_a_share_of_bad_scans_leaves_the_others_running(folder, tmp_path, run):
    scans = tmp_path / "in"
    write_cloud(scans / "a.npz")
    (scans / "b.ply").write_bytes(b"not a ply")
    code, lines, _ = run(scans, "--out", tmp_path / "out", "--shard", "2/2")
    assert code == 0 and lines[0].startswith("skipped b: ")
    assert lines[-1] == "share 2 of 2: 0 reconstructed, 0 kept, 1 skipped"
    assert run(scans, "--out", tmp_path / "out", "--shard", "2/2", "--strict")[0] == 2


def test_a_sequence_is_one_share(folder, tmp_path, run, monkeypatch):
    code, _, error = run(folder, "--out", tmp_path / "out", "--sequence", "--shard", "1/2")
    assert code == 2 and "sequence in 2 shares: each frame begins where" in error
    assert "give --shard 1/1" in error
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(folder, "--out", tmp_path / "out", "--sequence")[0] == 2
    assert run(folder, "--out", tmp_path / "out", "--sequence", "--shard", "1/1")[0] == 0
    assert names(tmp_path / "out") == expected_files()


@pytest.mark.parametrize("share", [(0, 3), (4, 3), (1, 0)])
def test_a_share_that_cannot_be(share, folder, toy_checkpoint, tmp_path):
    with pytest.raises(InputError, match="from 1 to n"):
        reconstruct_files(toy_checkpoint, collect_sources([folder]), tmp_path, share=share)


def test_a_damaged_scan_of_a_store_is_skipped(folder, toy_checkpoint, tmp_path):
    store = tmp_path / "scans.hdf5"
    prepare(folder, store, progress=False)
    content, points = store.read_bytes(), collect_sources([store])[1].prepared().points
    place = content.index(points.tobytes())
    store.write_bytes(content[:place] + b"\0" * 40 + content[place + 40 :])
    result = reconstruct_files(toy_checkpoint, collect_sources([store]), tmp_path / "o", **QUICK)
    assert [item.name for item in result.done] == ["a", "c", "d"]
    ((name, reason),) = result.skipped
    assert name == "b" and "is damaged" in reason


def test_what_was_done_is_known_without_reading_the_points(
    store, toy_checkpoint, tmp_path, monkeypatch
):
    reconstruct_files(toy_checkpoint, collect_sources([store]), tmp_path, **QUICK)
    monkeypatch.setattr("shapespace.data.store.store.ScanStore.scan", None)
    result = reconstruct_files(toy_checkpoint, collect_sources([store]), tmp_path, **QUICK)
    assert result.kept == list(NAMES)
    with pytest.raises(TypeError):
        reconstruct_files(
            toy_checkpoint,
            collect_sources([store]),
            tmp_path,
            FitOptions(num_points=65, detail="none"),
            QUICK["meshing"],
        )


@pytest.mark.parametrize(
    "launcher",
    [
        {"RANK": "{}", "WORLD_SIZE": "2", "LOCAL_RANK": "{}"},
        {"SLURM_PROCID": "{}", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"},
    ],
    ids=["torchrun", "srun"],
)
@pytest.mark.slow
def test_each_of_two_processes_takes_its_share(launcher, store, toy_checkpoint, tmp_path):
    words = ("-m", "shapespace", "reconstruct", toy_checkpoint, store, "--out", tmp_path, *OPTIONS)
    ranks = [
        start({name: value.format(rank) for name, value in launcher.items()}, *words)
        for rank in range(2)
    ]
    for rank, process in enumerate(ranks):
        out, error = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, 1), error
        summary = f"share {rank + 1} of 2: 2 reconstructed, 0 kept, 0 skipped"
        assert out.splitlines()[-1] == summary
        assert (error == "") == (rank == 1)
    assert names(tmp_path) == expected_files()


@pytest.mark.slow
def test_torchrun(store, toy_checkpoint, tmp_path, run):
    listed, out = tmp_path / "test.txt", tmp_path / "out"
    listed.write_text("a\nb\nd\n")
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = ("-m", "shapespace", "reconstruct", toy_checkpoint, store, "--scans", listed)
    process = start({}, *launch, *command, "--out", out, *OPTIONS)
    lines, error = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 1), error
    summaries = sorted(line for line in lines.splitlines() if line.startswith("share "))
    assert [line[:31] for line in summaries] == [
        "share 1 of 2: 2 reconstructed, ",
        "share 2 of 2: 1 reconstructed, ",
    ]
    assert names(out) == expected_files("abd")
    assert run(store, "--scans", listed, "--out", out)[1][0].startswith("kept 3 ")
