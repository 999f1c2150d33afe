import numpy as np
import pytest
import torch

from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import Frame, PreparedScan, rounded_normals
from shapespace.training.datamodule import ScanData, Windows


def write_store(path, num=100, dimension=3, without_normals=(), kinds=()):
    rng = np.random.default_rng(0)
    with StoreWriter(path, "m", dimension) as writer:
        for k, name in enumerate(("a", "b", "c", "d", "e")):
            points = rng.normal(size=(num + k, dimension)).astype(np.float32)
            unit = rounded_normals(points / np.linalg.norm(points, axis=1, keepdims=True))
            normals = None if name in without_normals else unit
            kind = dict(kinds).get(name, "none" if normals is None else "measured")
            sigma = np.full(num + k, 0.1 * (k + 1), np.float32)
            frame = Frame(np.full(dimension, float(k)))
            writer.add(PreparedScan(name, points, normals, sigma, frame, "", "", 0, 0, 0, kind))
    return path


def batches(data, epoch=0):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [batch.scan for batch in loader]


def test_every_scan_is_visited_as_often_as_asked(tmp_path):
    data = ScanData(str(write_store(tmp_path / "s.hdf5")), None, 2, 10, repeats=3)
    index = torch.cat([batch.index for batch in batches(data)])
    assert torch.bincount(index).tolist() == [3] * 5
    assert data.num_scans == 5 and data.dimension == 3


def test_windows_are_contiguous_and_repeat_with_the_epoch(tmp_path):
    store = ScanStore(write_store(tmp_path / "s.hdf5"))
    points = store.read("b")[0]
    windows = Windows(store, store.names, 10, seed=0)
    starts = set()
    for number in range(60):
        window = windows.read([(1, number)]).points[0].numpy()
        start = int(np.flatnonzero((points == window[0]).all(1))[0])
        np.testing.assert_array_equal(window, np.roll(points, -start, axis=0)[:10])
        starts.add(start)
    assert len(starts) > 15 and max(starts) > len(points) - 10
    data = ScanData(str(store.path), None, 2, 10)
    first, again, later = batches(data, 3), batches(data, 3), batches(data, 4)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.index, two.index) and torch.equal(one.points, two.points)
    assert any(
        not torch.equal(one.points, two.points) for one, two in zip(first, later, strict=True)
    )


def test_worker_processes_change_nothing(tmp_path):
    path = str(write_store(tmp_path / "s.hdf5"))
    alone, helped = (batches(ScanData(path, None, 2, 10, num_workers=n), 1) for n in (0, 2))
    for one, two in zip(alone, helped, strict=True):
        assert torch.equal(one.points, two.points) and torch.equal(one.sigma, two.sigma)


def test_mixed_stores_give_unknown_normals(tmp_path):
    path = str(write_store(tmp_path / "s.hdf5", without_normals=("b", "d")))
    (batch,) = batches(ScanData(path, None, 5, 10))
    known = batch.normals.abs().sum((1, 2)) > 0
    assert {int(i) for i in batch.index[~known]} == {1, 3}


def test_normals_are_learnt_only_where_they_are_trusted(tmp_path):
    kinds = {"b": "estimated-unoriented", "c": "estimated-oriented"}
    path = str(write_store(tmp_path / "s.hdf5", without_normals=("d",), kinds=kinds))
    (batch,) = batches(ScanData(path, None, 5, 10))
    known = batch.normals.abs().sum((1, 2)) > 0
    assert {int(i) for i in batch.index[~known]} == {1, 3}
    store = ScanStore(path)
    for row, index in enumerate(batch.index):
        name = "abcde"[int(index)]
        if store.has_trusted_normals(name):
            points, normals, _ = store.read(name)
            start = int(np.flatnonzero((points == batch.points[row, 0].numpy()).all(1))[0])
            np.testing.assert_array_equal(np.roll(normals, -start, 0)[:10], batch.normals[row])
    names = tmp_path / "names.txt"
    names.write_text("b\nd\n")
    (batch,) = batches(ScanData(path, str(names), 5, 10))
    assert batch.normals is None


def test_a_window_equals_the_slow_way(tmp_path):
    store = ScanStore(write_store(tmp_path / "s.hdf5", num=12))
    for start in range(12):
        points, sigma = np.empty((9, 3), np.float32), np.empty(9, np.float32)
        normals = np.empty((9, 3), np.int16)
        store.read_into("a", start, points, sigma, normals)
        rows = np.arange(start, start + 9) % 12
        for read, whole in zip(
            (points, normals / np.float32(32767), sigma), store.read("a"), strict=True
        ):
            np.testing.assert_array_equal(read, whole[rows])


def test_scan_lists_choose(tmp_path):
    path = str(write_store(tmp_path / "s.hdf5"))
    (tmp_path / "train.txt").write_text("d\nb\n\n")
    data = ScanData(path, str(tmp_path / "train.txt"), 2, 10)
    assert data.names == ("d", "b")
    assert [frame.centre[0] for frame in data.frames] == [3, 1]
    for text, hint in (("d\nbb\n", "bb"), ("d\nb\nd\n", "'d' twice")):
        (tmp_path / "train.txt").write_text(text)
        with pytest.raises(InputError, match=hint):
            ScanData(path, str(tmp_path / "train.txt"), 2, 10)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"num_points": 101}, "'a' holds 100 points"),
        ({"drop_last": True, "batch_size": 6}, "batch_size=6"),
        ({"scans": "missing.txt"}, "missing.txt"),
    ],
)
def test_what_cannot_be_is_said_at_once(tmp_path, options, hint):
    path = str(write_store(tmp_path / "s.hdf5"))
    with pytest.raises(InputError, match=hint):
        ScanData(path, **{"num_points": 10, **options})
