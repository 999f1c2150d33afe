"""Every benchmark runs at its smallest size, and its opponent is what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SMALLEST = {
    "step.py": "--sizes small --rounds 1 --scans 1 --points 32 --threads 1",
    "mesh.py": "--fields torus --sizes 24",
    "trace.py": "--size 8 --rounds 1",
    "slider.py": "--sizes 2x40 --steps 1 --resolution 16 --threads 1",
    "gpu.py": "--device cpu --tiny --parts steps uses dfaust",
    "ddp.py": "--shapes 64 --rounds 1 --steps 2 --width 16 --depth 2 --points 8",
}


@pytest.mark.parametrize(("script", "options"), SMALLEST.items())
def test_it_runs(script, options, tmp_path):
    command = [sys.executable, FOLDER / script, *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("{") >= 1
