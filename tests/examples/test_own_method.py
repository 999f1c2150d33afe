"""The method of examples/own_method goes through every command."""

import json
import sys

import igl
import numpy as np
import pytest
import torch
import trimesh

from shapespace.cli.main import main
from shapespace.data.store.store import ScanStore
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "own_method"
RADII = {f"e{row}": (1 + 0.04 * row, 1 - 0.03 * row, 0.9 + 0.02 * row) for row in range(8)}
METHODS = {
    "second-order": [],
    "published": ["--method=adam-published", "--steps=100"],
    "refined": ["--refine=40"],
}


@pytest.fixture(autouse=True, scope="module")
def _on_the_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE)
        patch.setenv("SHAPESPACE_TRUST", "own_method")
        yield
    sys.modules.pop("own_method", None)


@pytest.fixture(scope="module")
def trained(write_store, tmp_path_factory):
    """The run folder of the example, interrupted once and resumed, and the store of a new scan."""
    folder = tmp_path_factory.mktemp("own")
    store = write_store(folder / "scans.hdf5", RADII)
    train = [
        "train",
        f"--config={EXAMPLE / 'own_method.yaml'}",
        f"--data.store={store}",
        f"--trainer.default_root_dir={folder / 'run'}",
        "--trainer.max_epochs=100",
        "--preview.every=1000",
    ]
    assert main([*train, "--trainer.max_steps=120"]) == 0
    assert main(train) == 0
    return folder / "run", write_store(folder / "new.hdf5", {"e20": (1.1, 0.9, 0.95)})


def off_median(store, ply):
    """Median distance, mm, of the points of the one scan of a store to its mesh."""
    (name,) = store.names
    points = store.frame(name).to_source(store.read(name)[0])
    mesh = trimesh.load(ply, process=False)
    squared = igl.point_mesh_squared_distance(points, np.array(mesh.vertices), mesh.faces)[0]
    return 1000 * float(np.median(np.sqrt(squared)))


def reconstructed(trained, out, options):
    """Facts of the reconstruction of the new scan."""
    run, new = trained
    words = ["reconstruct", str(run / "last.ckpt"), str(new), f"--out={out}", "--resolution=48"]
    options = [*options, "--detail=none"]
    assert main([*words, *options]) == 0
    return json.loads((out / "e20.json").read_text())


def test_unseen_scans_are_fitted_by_every_method_and_measured_in_true_lengths(trained, tmp_path):
    run, new = trained
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 200
    for name, options in METHODS.items():
        facts = reconstructed(trained, tmp_path / name, options)
        assert facts["terms"].keys() == {"sides", "surface", "latent"}
        if name != "refined":
            # The lengths that are printed are those to the mesh, although f is a logit.
            exact = off_median(ScanStore(new), tmp_path / name / "e20.ply")
            assert facts["off_median"] == pytest.approx(exact, rel=0.1), name


def test_the_other_commands_know_its_field(trained, tmp_path, capsys):
    run, new = trained
    checkpoint = str(run / "last.ckpt")
    assert main(["info", checkpoint]) == 0
    assert "objective Sides, f is minus a logit of occupancy" in capsys.readouterr().out
    words = [
        "evaluate",
        checkpoint,
        str(new),
        f"--out={tmp_path / 'scores'}",
        "--resolution=48",
        "--detail=none",
    ]
    assert main(words) == 0
    words = ["--num-shapes=1", "--num-points=500", "--num-rays=32", "--resolution=32"]
    assert main(["diagnose", checkpoint, *words]) == 0
    assert "The field is minus a logit of occupancy" in capsys.readouterr().out
    words = ["report", str(run), f"--out={tmp_path / 'page.html'}", "--steps=2", "--resolution=24"]
    assert main(words) == 0
