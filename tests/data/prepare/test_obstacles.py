"""What stands in the way of writing a store: each is told in one line, and what was there stays."""

import os
import resource
import shutil

import numpy as np
import pytest

from shapespace.data.prepare.run import prepare
from shapespace.data.store.cache import cached_path, copy_to_cache
from shapespace.data.store.merge import merge
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from tests.data.store.test_store import make_scan, write
from tests.sandbox import outcomes

NAMES = "abc"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for row, name in enumerate(NAMES):
        rng = np.random.default_rng(row)
        np.savetxt(folder / f"{name}.xyz", rng.normal(size=(60 + row, 3)))
    return folder


def run(source, store):
    return prepare(source, store, normals="none", progress=False)


def refused(function, *arguments):
    """The line of the InputError that ``function`` must end in."""
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


def stopped(source, store, monkeypatch):
    """The folder of the parts of a run that was stopped before it put the store together."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shapespace.data.prepare.assemble.Assembly._write", stop)
        run(source, store)
    return store.with_name(f"{store.name}.parts")


def empty(part):
    write(part)


def of_another(part):
    write(part, make_scan("zzz"))


def of_two(part):
    write(part, make_scan("a"), make_scan("b"))


def folder(part):
    part.unlink()
    part.mkdir()


def folder_with_files(part):
    folder(part)
    (part / "mine.txt").write_text("mine")


def nothing(part):
    part.write_bytes(b"")


def dangling(part):
    part.unlink()
    part.symlink_to("nowhere")


@pytest.mark.parametrize(
    "spoil", [empty, of_another, of_two, folder, folder_with_files, nothing, dangling]
)
def test_a_part_that_is_none(tmp_path, source, monkeypatch, spoil):
    wanted = run(source, tmp_path / "whole.hdf5").content
    store = tmp_path / "s.hdf5"
    for part in stopped(source, store, monkeypatch).glob("*.hdf5"):
        spoil(part)
    try:
        run(source, store)
    except InputError as error:
        assert "\n" not in str(error) and "parts" in str(error)
        assert not store.exists()
    else:
        assert ScanStore(store).content == wanted


def test_files_of_others_among_the_parts_stay(tmp_path, source):
    parts = tmp_path / "s.hdf5.parts"
    (parts / "deep").mkdir(parents=True)
    for place in (parts / "notes.txt", parts / "deep" / "data.bin", parts / "mine.hdf5"):
        place.write_text("mine")
    run(source, tmp_path / "s.hdf5")
    kept = {str(path.relative_to(parts)) for path in parts.rglob("*") if path.is_file()}
    assert kept >= {"notes.txt", "deep/data.bin", "mine.hdf5"}


def test_the_lock_of_the_parts_writes_to_no_other_file(tmp_path, source):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    parts = tmp_path / "s.hdf5.parts"
    parts.mkdir()
    (parts / "lock").symlink_to(precious)
    try:
        run(source, tmp_path / "s.hdf5")
    except InputError as error:
        assert "\n" not in str(error)
    assert precious.read_text() == "precious"


def test_places_that_are_something_else(tmp_path, source):
    store = tmp_path / "s.hdf5"
    (tmp_path / "s.hdf5.parts").write_text("a file")
    assert "cannot be an output folder" in refused(run, source, store)
    assert (tmp_path / "s.hdf5.parts").read_text() == "a file"
    (tmp_path / "t.hdf5.parts" / "lock").mkdir(parents=True)
    assert "lock" in refused(run, source, tmp_path / "t.hdf5")
    (tmp_path / "dir.hdf5").mkdir()
    assert "dir.hdf5" in refused(run, source, tmp_path / "dir.hdf5")
    assert "dir.hdf5" in refused(ScanStore, tmp_path / "dir.hdf5")
    good = write(tmp_path / "good.hdf5", make_scan())
    assert "dir.hdf5" in refused(merge, [good], tmp_path / "dir.hdf5", False)
    assert "dir.hdf5" in refused(merge, [tmp_path / "dir.hdf5"], tmp_path / "out.hdf5", False)
    assert "good.hdf5" in refused(run, source, good / "s.hdf5")
    assert "good.hdf5" in refused(copy_to_cache, ScanStore(good), good)
    os.mkfifo(tmp_path / "fifo.hdf5")
    assert "fifo.hdf5" in refused(run, source, tmp_path / "fifo.hdf5")
    assert "fifo.hdf5" in refused(ScanStore, tmp_path / "fifo.hdf5")
    assert "fifo.hdf5" in refused(run, tmp_path / "fifo.hdf5", tmp_path / "u.hdf5")


def test_a_folder_that_must_not_be_written(tmp_path, source, monkeypatch):
    store = write(tmp_path / "good.hdf5", make_scan())
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    for function, arguments in (
        (run, (source, tmp_path / "s.hdf5")),
        (merge, ([store], tmp_path / "m.hdf5", False)),
        (copy_to_cache, (ScanStore(store), tmp_path / "cache")),
    ):
        assert "cannot be written" in refused(function, *arguments)


def test_a_copy_in_the_cache_that_is_something_else(tmp_path):
    store = ScanStore(write(tmp_path / "s.hdf5", make_scan()))
    copy = cached_path(store, tmp_path / "cache")
    copy.mkdir(parents=True)
    assert copy.name in refused(lambda: ScanStore(copy_to_cache(store, tmp_path / "cache")))
    copy.rmdir()
    copy.with_name(f".{copy.name}.lock").unlink()
    copy.with_name(f".{copy.name}.lock").mkdir()
    assert copy.name in refused(copy_to_cache, store, tmp_path / "cache")


def write_with_little_room(case):
    """Prepare, merge and copy while no file may grow beyond ``size`` bytes; what each says."""
    base, size = case
    place = base / str(size)
    place.mkdir()
    good = shutil.copy(base / "good.hdf5", place / "old.hdf5")
    before = good.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    said = []
    for function, arguments in (
        (run, (base / "in", place / "old.hdf5")),
        (merge, ([base / "good.hdf5"], place / "old.hdf5", False)),
        (copy_to_cache, (ScanStore(base / "good.hdf5"), place / "cache")),
    ):
        try:
            function(*arguments)
            said.append("done")
        except InputError as error:
            assert "\n" not in str(error)
            said.append("refused")
            assert good.read_bytes() == before
    hdf5 = [path.name for path in place.rglob("*") if path.is_file()]
    assert not [name for name in hdf5 if ".part" in name]
    return said


def test_a_full_disk(tmp_path, source):
    good = write(tmp_path / "good.hdf5", make_scan("a", n=500), make_scan("b", n=500))
    size = good.stat().st_size
    sizes = [1, 100, 1000, 2048, 4000, size // 2, size - 1, 10_000_000]
    found = outcomes(write_with_little_room, [(tmp_path, size) for size in sizes])
    assert {s: o.died for s, o in zip(sizes, found, strict=True) if o.died} == {}
    assert found[0].value == ["refused"] * 3 and found[-1].value == ["done"] * 3
