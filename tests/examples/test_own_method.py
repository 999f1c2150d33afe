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
    "full": ["--detail=full"],
}


@pytest.fixture
def _on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setenv("SHAPESPACE_TRUST", "own_method")
    yield
    sys.modules.pop("own_method", None)


def off_median(store, ply):
    """Median distance, mm, of the points of the one scan of a store to its mesh."""
    (name,) = store.names
    points = store.frame(name).to_source(store.read(name)[0])
    mesh = trimesh.load(ply, process=False)
    squared = igl.point_mesh_squared_distance(points, np.array(mesh.vertices), mesh.faces)[0]
    return 1000 * float(np.median(np.sqrt(squared)))


@pytest.mark.usefixtures("_on_the_path")
def test_an_own_method_goes_through_every_command(write_store, tmp_path, capsys):
    store = write_store(tmp_path / "scans.hdf5", RADII)
    new = write_store(tmp_path / "new.hdf5", {"e20": (1.1, 0.9, 0.95)})
    run = tmp_path / "run"
    checkpoint = str(run / "last.ckpt")
    train = [
        "train",
        f"--config={EXAMPLE / 'own_method.yaml'}",
        f"--data.store={store}",
        f"--trainer.default_root_dir={run}",
        "--trainer.max_epochs=100",
        "--preview.every=1000",
    ]
    assert main([*train, "--trainer.max_steps=120"]) == 0
    assert main(train) == 0
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 200
    assert main(["info", checkpoint]) == 0
    assert "objective Sides, f is minus a logit of occupancy" in capsys.readouterr().out
    for name, options in METHODS.items():
        out = tmp_path / name
        words = ["reconstruct", checkpoint, str(new), f"--out={out}", "--resolution=48"]
        assert main([*words, *options]) == 0, name
        facts = json.loads((out / "e20.json").read_text())
        assert facts["terms"].keys() == {"sides", "surface", "latent"}
        if name in ("second-order", "published"):
            # The lengths that are printed are those to the mesh, although f is a logit.
            exact = off_median(ScanStore(new), out / "e20.ply")
            assert facts["off_median"] == pytest.approx(exact, rel=0.1), name
    # Scores are those of the same reconstruction, which evaluate keeps.
    words = ["evaluate", checkpoint, str(new), f"--out={tmp_path / 'scores'}", "--resolution=48"]
    assert main(words) == 0
    words = ["--num-shapes=1", "--num-points=500", "--num-rays=32", "--resolution=32"]
    capsys.readouterr()
    assert main(["diagnose", checkpoint, *words]) == 0
    assert "The field is minus a logit of occupancy" in capsys.readouterr().out
    words = ["report", str(run), f"--out={tmp_path / 'page.html'}", "--steps=2", "--resolution=24"]
    assert main(words) == 0
