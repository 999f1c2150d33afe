"""What an earlier version wrote is read, meshed, fitted and trained on, to the same numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from shapespace.checkpoint import read_checkpoint
from shapespace.cli.main import main
from shapespace.data.store.store import ScanStore
from shapespace.space import TrainedSpace
from shapespace.training.cli import train
from shapespace.training.statistics import METRICS, read_metrics

FOLDER = Path(__file__).with_name("written_by_0_1_0")
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize(
    ("run", "name", "key"), [("run", "egg", "egg"), ("waves", "ball", "surface")]
)
def test_a_checkpoint_loads_and_meshes(run, name, key):
    space = TrainedSpace.load(FOLDER / run / "last.ckpt")
    mesh = space.mesh(space.code(name), space.frame(name), 48)
    want = EXPECTED[key]
    assert mesh.is_watertight
    assert len(mesh.vertices) == pytest.approx(want["vertices"], rel=2e-3)
    assert mesh.volume == pytest.approx(want["volume"], rel=1e-4)
    assert np.allclose(mesh.vertices.mean(0), want["centre"], atol=1e-3)


def test_a_scan_of_the_store_is_reconstructed(tmp_path):
    (tmp_path / "scans.txt").write_text("melon\n")
    paths = [str(FOLDER / "run/last.ckpt"), str(FOLDER / "store.hdf5")]
    options = ["--scans", str(tmp_path / "scans.txt"), "--out", str(tmp_path / "out")]
    assert main(["reconstruct", *paths, *options, "--resolution", "48", "--detail", "none"]) == 0
    found, want = json.loads((tmp_path / "out/melon.json").read_text()), EXPECTED["melon"]
    assert found["off_median"] == pytest.approx(want["off_median"], rel=1e-3)
    assert found["strangeness"] == pytest.approx(want["strangeness"], rel=1e-3)
    assert np.allclose(found["pose"]["shift"], want["shift"], atol=1e-4)


def test_the_training_goes_on_with_the_config_of_the_run_folder(tmp_path):
    shutil.copytree(FOLDER / "run", tmp_path / "run")
    train(
        [
            f"--config={tmp_path / 'run/config.yaml'}",
            f"--data.store={FOLDER / 'store.hdf5'}",
            f"--trainer.default_root_dir={tmp_path / 'run'}",
            "--trainer.max_epochs=64",
        ]
    )
    written = read_checkpoint(FOLDER / "run/last.ckpt")["callbacks"]
    after = read_checkpoint(tmp_path / "run/last.ckpt")["callbacks"]
    assert after.keys() == written.keys(), "the callbacks find their state under the old keys"
    assert after["Health"]["losses"][:120] == written["Health"]["losses"]
    losses = [float(row["loss"]) for row in read_metrics(tmp_path / "run" / METRICS)]
    assert len(losses) == 64, "the rows before are kept"
    assert losses[-4:] == pytest.approx(EXPECTED["losses_61_to_64"], rel=1e-4)


def test_every_scan_of_the_store_is_as_it_was_written():
    store = ScanStore(FOLDER / "store.hdf5")
    assert list(store.names) == ["ball", "egg", "lens", "melon"]
    assert all(len(store.scan(name).points) == 600 for name in store.names)


def test_a_report_of_the_run_folder_is_written(tmp_path):
    shutil.copytree(FOLDER / "run", tmp_path / "run")
    assert main(["report", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run/report.html").read_text()
    assert "eikonal" in page and "<canvas" in page, "curves and the player"
