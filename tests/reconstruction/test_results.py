"""The files of a reconstruction: read as they were written, and never from elsewhere."""

import errno
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
import trimesh

from shapespace.checkpoint import SCANS, read_checkpoint
from shapespace.cli.main import main
from shapespace.data.sources import collect_sources
from shapespace.errors import DiskError, InputError
from shapespace.reconstruction import reconstruct
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.method import fit_scans
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.results import bytes_of_code, code_of, mesh_of, read_result
from tests.reconstruction.test_reconstruct import QUICK, load, write_cloud

ODD = ("../../x", "/tmp/x", "a/b", "..", "a\nb", "\x1b[31m", "\u202eply")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Four clouds of a batch."""
    folder = tmp_path_factory.mktemp("scans")
    for number, name in enumerate("abcd"):
        write_cloud(folder / f"{name}.npz", count=300 + number)
    return folder


@pytest.fixture(scope="module")
def whole(toy_checkpoint, scans, tmp_path_factory):
    """The folder of their reconstructions."""
    out = tmp_path_factory.mktemp("whole")
    reconstruct_files(toy_checkpoint, collect_sources([scans]), out, **QUICK)
    return out


def test_a_mesh_is_read_as_trimesh_reads_it(tmp_path):
    ball = trimesh.creation.icosphere(2)
    meshes = {
        "near": (ball, None),
        "far": (trimesh.Trimesh(ball.vertices + 4e6, ball.faces, process=False), None),
        "sure": (ball, np.full(len(ball.vertices), 0.01)),
    }
    for name, (mesh, deviation) in meshes.items():
        path = write_mesh(mesh, tmp_path / f"{name}.ply", deviation)
        found, expected = mesh_of(path.read_bytes()), load(path)
        np.testing.assert_array_equal(found.vertices, expected.vertices)
        np.testing.assert_array_equal(found.faces, expected.faces)
        np.testing.assert_array_equal(found.vertex_normals, expected.vertex_normals)
    empty = mesh_of(write_mesh(trimesh.Trimesh(), tmp_path / "empty.ply").read_bytes())
    assert empty.vertices.shape == (0, 3) and empty.faces.shape == (0, 3)


def test_a_code_is_read_as_it_was_written(tmp_path):
    for length in (0, 1, 8):
        code = torch.arange(length).float() / 7
        np.save(tmp_path / "a.npy", code.numpy())
        assert bytes_of_code(code) == (tmp_path / "a.npy").read_bytes()
        np.testing.assert_array_equal(code_of(bytes_of_code(code)), code.numpy())


def test_names_of_a_checkpoint_lead_nowhere(toy_checkpoint, tmp_path, capsys):
    for number, name in enumerate(ODD):
        content = read_checkpoint(toy_checkpoint)
        content["state_dict"][SCANS]["names"][0] = name
        place = tmp_path / f"{number}" / "a" / "b"
        place.mkdir(parents=True)
        torch.save(content, place / "last.ckpt")
        words = ["mesh", str(place / "last.ckpt"), name, "--out", str(place / "out")]
        assert main([*words, "--resolution", "8"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error and "\x1b" not in error
        left = {path for path in (tmp_path / f"{number}").rglob("*") if path.is_file()}
        assert left == {place / "last.ckpt"}


def test_names_of_scans_lead_nowhere(toy_checkpoint, tmp_path, capsys):
    for name in ("a\nb", "\x1b[31mc", "d"):
        write_cloud(tmp_path / "in" / f"{name}.npz")
    words = ["reconstruct", str(toy_checkpoint), str(tmp_path / "in"), "--out"]
    options = ["--num-points", "64", "--resolution", "8", "--detail", "none"]
    # 1 says that the toy space does not fit the cloud.
    assert main([*words, str(tmp_path / "out"), *options]) in (0, 1)
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"d"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and not any("\x1b" in line for line in lines)
    assert sum("cannot name a file" in line for line in lines) == 2


def test_a_call_that_goes_on_writes_what_an_uninterrupted_one_would(
    toy_checkpoint, scans, whole, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    for name in "bd":
        (out / f"{name}.json").unlink()
        (out / f"{name}.ply").write_bytes(b"half")
    result = reconstruct_files(toy_checkpoint, collect_sources([scans]), out, **QUICK)
    assert result.kept == ["a", "c"] and [item.name for item in result.done] == list("abcd")
    for path in whole.iterdir():
        if path.suffix != ".json":
            assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_full_disk_stops_the_call_and_keeps_what_was_written(
    toy_checkpoint, scans, tmp_path, monkeypatch, capsys
):
    fitted = []

    def full(mesh, path, deviation=None):
        if path.stem == "b":
            raise DiskError(f"{path}: cannot be written (No space left on device)")
        return write_mesh(mesh, path, deviation)

    def counted(*arguments, **options):
        fitted.append(1)
        return fit_scans(*arguments, **options)

    monkeypatch.setattr(reconstruct, "write_mesh", full)
    monkeypatch.setattr(reconstruct, "fit_scans", counted)
    words = ["reconstruct", str(toy_checkpoint), str(scans), "--out", str(tmp_path / "out")]
    options = ["--num-points", "64", "--resolution", "8", "--batch", "1", "--detail", "none"]
    assert main([*words, *options]) == 2
    assert len(fitted) == 2
    assert "No space left on device); 1 of 4 scans are done and kept" in capsys.readouterr().err
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["a.json", "a.npy", "a.ply"]


def test_a_disk_that_fills_up_is_noticed_at_every_file(
    toy_checkpoint, scans, tmp_path, monkeypatch
):
    for number in range(3):  # the mesh, the code, the facts: each waits for the disk twice
        calls = []

        def full(descriptor, calls=calls, most=2 * number):
            calls.append(descriptor)
            if len(calls) > most:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        sources = collect_sources([scans / "a.npz"])
        with pytest.raises(DiskError, match="0 of 1 scans are done"):
            reconstruct_files(toy_checkpoint, sources, tmp_path / f"{number}", **QUICK)


def test_what_was_not_left_by_an_earlier_call_is_made_anew(toy_checkpoint, scans, whole, tmp_path):
    canary = tmp_path / "canary"
    shutil.copytree(whole, canary)
    before = {path: path.read_bytes() for path in canary.iterdir()}
    sources = collect_sources([scans / "a.npz"])
    facts = json.loads((whole / "a.json").read_text())

    def link(name, out):
        (out / name).unlink()
        (out / name).symlink_to(canary / name)

    def change(key, value, out):
        (out / "a.json").write_text(json.dumps(facts | {key: value}))

    cases = [partial(link, f"a{suffix}") for suffix in (".json", ".npy", ".ply")]
    cases += [partial(change, "pose", None), partial(change, "seconds", "x")]
    cases.append(lambda out: np.save(out / "a.npy", np.zeros(3, np.float32)))
    for number, spoil in enumerate(cases):
        out = tmp_path / f"{number}"
        out.mkdir()
        for path in whole.glob("a.*"):
            shutil.copy(path, out)
        assert reconstruct_files(toy_checkpoint, sources, out, **QUICK).kept == ["a"]
        spoil(out)
        assert reconstruct_files(toy_checkpoint, sources, out, **QUICK).kept == []
        assert not any(path.is_symlink() for path in out.iterdir())
    assert {path: path.read_bytes() for path in canary.iterdir()} == before


def test_the_folder_of_the_shapes_is_no_link(toy_checkpoint, scans, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "shapes").symlink_to(tmp_path / "elsewhere")
    words = ["evaluate", str(toy_checkpoint), str(scans), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "shapes: is a symbolic link, nothing is written through it" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_damaged_result_is_named(whole, tmp_path):
    assert read_result(whole, "nothing") is None
    for suffix in (".npy", ".json"):
        shutil.copytree(whole, tmp_path / suffix)
        (tmp_path / suffix / f"a{suffix}").write_bytes(b"{}")
        with pytest.raises(InputError, match=rf"a\{suffix}: is damaged"):
            read_result(tmp_path / suffix, "a")
