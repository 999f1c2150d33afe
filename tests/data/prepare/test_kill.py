"""``prepare`` killed at any moment and called again ends with the content of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import trimesh

from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from tests.conftest import ROOT

KILLS = 12


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    ball = trimesh.creation.icosphere(subdivisions=3)
    for i in range(16):
        mesh = ball.copy()
        mesh.vertices *= 1 + i / 50
        mesh.export(folder / f"s{i:02d}.ply")
    return folder


def start(scans, store, workers):
    options = ["--num-points", "4000", "--workers", str(workers), "--normals", "source"]
    return subprocess.Popen(
        [sys.executable, "-m", "shapespace", "prepare", str(scans), str(store), *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def assert_whole_or_absent(store, content):
    """What can be opened under a final name is complete and undamaged."""
    try:
        found = ScanStore(store)
    except InputError:
        assert not store.exists()
    else:
        assert found.content == content and set(found.verify()) == {None}
    for part in store.with_name(f"{store.name}.parts").glob("[0-9a-f]*.hdf5"):
        assert list(ScanStore(part).verify()) == [None]


@pytest.mark.slow
def test_killed_at_random_moments(scans, tmp_path):
    whole = tmp_path / "whole.hdf5"
    began = time.monotonic()
    assert start(scans, whole, 1).wait() == 0
    took = time.monotonic() - began
    content = ScanStore(whole).content
    chance, kills, runs = random.Random(0), 0, 0
    while kills < KILLS:
        store = tmp_path / f"store{runs}.hdf5"
        runs += 1
        while not store.exists():
            process = start(scans, store, workers=2 if kills % 4 == 3 else 1)
            try:
                process.wait(chance.uniform(0.3, 1.0) * took)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
            assert_whole_or_absent(store, content)
        assert ScanStore(store).content == content
    assert start(scans, store, 1).wait() == 0
    assert sorted(p.name for p in tmp_path.iterdir() if store.stem in p.name) == [store.name]
