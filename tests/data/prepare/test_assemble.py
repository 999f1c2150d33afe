"""Options of a whole set: sigma on request, one scale for all, room on the disk, stray points."""

import hashlib
import json
import shutil
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from shapespace.cli.main import main
from shapespace.data.check import check_scans
from shapespace.data.prepare import assemble
from shapespace.data.prepare.neighbours import neighbour_distance
from shapespace.data.prepare.run import prepare, shard_path
from shapespace.data.store.merge import merge
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError

RADII = {"a": 30.0, "b": 45.0, "c": 60.0, "d": 50.0}


def write_bones(folder, **more):
    """Ellipsoids in millimetres; "d" has a stray part."""
    folder.mkdir()
    for name, radius in (RADII | more).items():
        mesh = trimesh.creation.icosphere(3, radius)
        mesh.vertices *= [1.0, 0.6, 0.4]
        if name == "d":
            stray = trimesh.creation.icosphere(1, 3.0).apply_translation([2000.0, 0, 0])
            mesh = trimesh.util.concatenate([mesh, stray])
        mesh.export(folder / f"{name}.ply")
    return folder


def content_of_points(path):
    """sha256 of points and normals of a store."""
    digest = hashlib.sha256()
    with ScanStore(path) as store:
        for name in store.names:
            points, normals, _ = store.read(name)
            digest.update(points.tobytes() + (b"" if normals is None else normals.tobytes()))
    return digest.hexdigest()


def test_sigma_is_measured_on_request_and_changes_nothing_else(tmp_path):
    folder = write_bones(tmp_path / "in")
    stores = {}
    for name, options in {"no": {}, "yes": {"sigma": True}, "targets": {"targets": 60}}.items():
        path = tmp_path / f"{name}.hdf5"
        summary = prepare(
            folder, path, unit="mm", num_points=300, scans=["a", "b"], progress=False, **options
        )
        stores[name] = ScanStore(path)
        assert ("sigma" in summary.counts.timings) == (name != "no")
    assert [store.has_sigma for store in stores.values()] == [False, True, True]
    assert len({content_of_points(store.path) for store in stores.values()}) == 1
    points, _, sigma = stores["yes"].read("a")
    np.testing.assert_array_equal(sigma, neighbour_distance(points))
    assert check_scans(stores["no"].path, progress=False).ok
    # A run with another wish makes the store anew; the same wish reuses it.
    again = prepare(folder, tmp_path / "no.hdf5", unit="mm", num_points=300, progress=False)
    assert again.counts.num_reused == 2
    again = prepare(
        folder, tmp_path / "no.hdf5", unit="mm", num_points=300, sigma=True, progress=False
    )
    assert again.counts.num_reused == 0 and ScanStore(tmp_path / "no.hdf5").has_sigma


def test_a_sampler_that_needs_sigma_refuses_a_store_without(tmp_path, monkeypatch):
    from shapespace.decoders.mlp import SkipMLP
    from shapespace.objectives.igr import IGR
    from shapespace.sampling import NearSurface
    from shapespace.training.datamodule import ScanData
    from shapespace.training.module import ShapeSpace

    folder = write_bones(tmp_path / "in")
    for name, sigma in (("no", False), ("yes", True)):
        store = tmp_path / f"{name}.hdf5"
        prepare(folder, store, unit="mm", num_points=300, sigma=sigma, progress=False)
        data = ScanData(str(store), batch_size=2, num_points=64)
        batch = next(iter(data.train_dataloader())).scan
        assert (batch.sigma is None) == (not sigma)
        monkeypatch.setattr(ShapeSpace, "trainer", SimpleNamespace(datamodule=data))
        for sampler in (NearSurface(), NearSurface(sigma=0.01), NearSurface(near=0.0)):
            network = SkipMLP(4, width=16, depth=2, skip=0)
            module = ShapeSpace(network, IGR(), sampler, num_scans=4)
            if sampler.needs_sigma and not sigma:
                with pytest.raises(InputError) as caught:
                    module.setup("fit")
                assert "no.hdf5: holds no sigma, which NearSurface reads" in str(caught.value)
                assert "shapespace prepare again with --sigma" in str(caught.value)
            else:
                module.setup("fit")
                assert sampler(batch, torch.Generator()).space.isfinite().all()


def test_stray_points_set_no_scale_and_are_named(tmp_path):
    folder = write_bones(tmp_path / "in")
    summary = prepare(folder, tmp_path / "s.hdf5", normalise=True, num_points=2000, progress=False)
    store = ScanStore(tmp_path / "s.hdf5")
    for name, radius in RADII.items():
        assert store.frame(name).scale == pytest.approx(radius, rel=0.02), name
        assert np.abs(store.frame(name).centre).max() < 0.03 * radius, name
    assert "scans with stray points: 1, of 'd'" in str(summary)
    assert "up to 40" in str(summary) and "give --clean" in str(summary)
    assert "beyond the sampling box" not in str(summary)
    store.close()
    prepare(folder, tmp_path / "s.hdf5", normalise="each", num_points=2000, progress=False)
    assert ScanStore(tmp_path / "s.hdf5").content == summary.content


def test_one_scale_for_a_set_keeps_sizes(tmp_path):
    folder = write_bones(tmp_path / "in", e=60_000.0)
    (folder / "f.ply").write_bytes(b"ply\nnothing")
    whole = prepare(
        folder, tmp_path / "s.hdf5", normalise="common", num_points=2000, progress=False
    )
    store = ScanStore(tmp_path / "s.hdf5")
    assert store.unit == "radius" and whole.common == pytest.approx(60, rel=0.02)
    assert {store.frame(name).scale for name in store.names} == {whole.common}
    reach = {name: np.linalg.norm(store.read(name)[0], axis=1).max() for name in "abc"}
    for name, radius in reach.items():
        assert radius == pytest.approx(RADII[name] / 60, rel=0.03)
    # A scan that is out of scale does not set the scale, and is named without an idle remedy.
    assert "'e' reaches" in str(whole) and "bring it to the unit of the others" in str(whole)
    assert "normalise" not in str(whole) and "one scale for all" in str(whole)
    # Shards measure the whole set, so that they can be merged.
    for part in range(1, 4):
        prepare(
            folder,
            tmp_path / "t.hdf5",
            normalise="common",
            num_points=2000,
            shard=f"{part}/3",
            progress=False,
        )
    paths = [shard_path(tmp_path / "t.hdf5", part, 3) for part in range(1, 4)]
    assert merge(paths, tmp_path / "t.hdf5", progress=False).content == whole.content
    again = prepare(
        folder, tmp_path / "s.hdf5", normalise="common", num_points=2000, progress=False
    )
    assert again.counts.num_reused == 5 and again.content == whole.content


def test_normalise_is_a_flag_that_may_have_a_word(tmp_path, capsys):
    folder = write_bones(tmp_path / "in")
    store = tmp_path / "s.hdf5"
    base = ["--workers", "1", "--num-points", "300"]
    scales = {}
    for words in (
        ["--normalise", folder, store],
        [folder, store, "--normalise", "each"],
        [folder, store, "--normalise", "common"],
        [folder, store, "--normalise=common"],
        [folder, store, "--normalise"],
        [folder, store],
    ):
        assert main(["prepare", *map(str, words), *base]) == 0
        opened = ScanStore(store)
        scales[str(words[2:] + words[:1])] = {opened.frame(name).scale for name in opened.names}
    assert [len(found) for found in scales.values()] == [4, 4, 1, 1, 4, 1]
    capsys.readouterr()
    assert main(["prepare", str(folder), str(store), "--normalise=all"]) == 2
    assert "normalise" in capsys.readouterr().err


def test_room_is_looked_for_before_the_work(tmp_path, monkeypatch):
    folder = write_bones(tmp_path / "in")
    usage = namedtuple("usage", "total used free")
    asked = []

    def disk_usage(path):
        asked.append(path)
        return usage(10**9, 0, 20_000)

    monkeypatch.setattr(assemble.shutil, "disk_usage", disk_usage)
    with pytest.raises(InputError) as caught:
        prepare(folder, tmp_path / "s.hdf5", num_points=500, progress=False)
    needed = int(str(caught.value).split("needs ")[1].split(" bytes")[0])
    assert "20000 are free" in str(caught.value) and len(asked) == 1
    assert not (tmp_path / "s.hdf5").exists()
    monkeypatch.undo()
    # What was done is not lost, and the estimate holds: partial results and the store.
    summary = prepare(folder, tmp_path / "s.hdf5", num_points=500, progress=False)
    assert summary.counts.num_reused == 1
    size = (tmp_path / "s.hdf5").stat().st_size
    assert size < needed < 3 * size
    assert shutil.disk_usage(tmp_path).free > needed


def test_manifest_and_json_know_no_sigma(tmp_path, capsys):
    folder = write_bones(tmp_path / "in")
    prepare(folder, tmp_path / "s.hdf5", unit="mm", num_points=300, progress=False)
    assert main(["info", str(tmp_path / "s.hdf5"), "--verify"]) == 0
    assert "no sigma" in capsys.readouterr().out
    report = check_scans(tmp_path / "s.hdf5", progress=False)
    (fact,) = (scan for scan in json.loads(report.as_json())["scans"] if scan["name"] == "a")
    assert fact["sigma"] > 0
