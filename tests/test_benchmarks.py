"""Every benchmark runs at its smallest size, and its opponent is what it says."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.decoders.base import gradient_by_autograd

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SMALLEST = {
    "step.py": "--sizes small --rounds 1 --scans 1 --points 32 --threads 1",
    "mesh.py": "--fields torus --sizes 24",
    "trace.py": "--size 8 --rounds 1",
    "ddp.py": "--shapes 64 --rounds 1 --steps 2 --width 16 --depth 2 --points 8",
}


@pytest.mark.parametrize(("script", "options"), SMALLEST.items())
def test_it_runs(script, options, tmp_path):
    command = [sys.executable, FOLDER / script, *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("{") >= 1


@pytest.mark.parametrize(("first", "last"), [(0, 7), (3, 5), (5, 5)])
def test_the_published_formulation_is_that_of_autograd(first, last, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from published import PublishedMLP

    torch.manual_seed(0)
    decoder = PublishedMLP(5, width=24, depth=4, skip=2).double()
    points, latent = torch.randn(2, 7, 3).double(), torch.randn(2, 5).double()
    found = decoder.value_and_gradient(points, latent, first, last)
    ours = SkipMLP(5, width=24, depth=4, skip=2).double()
    ours.load_state_dict(decoder.state_dict())
    oracle = gradient_by_autograd(ours, points, latent, first, last)
    for one, other in zip(found, oracle, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=0, atol=1e-8)
