"""Jobs on a real SLURM of two virtual nodes, and the templates for users."""

import subprocess
from pathlib import Path

import pytest

from shapespace.training.statistics import read_metrics
from tests.conftest import ROOT
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import fit_script

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
TEMPLATES = sorted((ROOT / "experiments" / "cluster").glob("*.sbatch"))


def test_a_cluster_leaves_nothing(cluster):
    with Cluster() as other:
        job = other.submit("#!/bin/bash\nsrun sleep 3600\n", "sleep")
        other.wait_for(job, ["RUNNING"])
        other.wait_until(lambda: b"sleep" in running(other), "sleep runs", job)
    assert running(other) == b"" and not other.folder.exists()
    cluster.wait_for(cluster.submit("#!/bin/bash\ntrue\n", "after"), ["COMPLETED"])


def running(cluster):
    """Command lines of all that runs with the configuration of ``cluster``."""
    found = b""
    for process in cluster.processes():
        try:
            found += Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
    return found


def test_two_nodes_train(cluster, toy_store, tmp_path):
    folder = tmp_path / "run"
    job = cluster.submit(fit_script(folder, toy_store, "--trainer.max_epochs=3"), "fit")
    cluster.wait_for(job, ["COMPLETED"])
    assert (folder / "last.ckpt").exists()
    assert [(row["epoch"], row["step"]) for row in read_metrics(folder / "metrics.csv")] == [
        ("0", "2"),
        ("1", "4"),
        ("2", "6"),
    ]


def test_a_mistake_ends_the_job_on_all_nodes(cluster, toy_store, tmp_path):
    script = fit_script(tmp_path / "run", toy_store, "--trainer.num_nodes=3")
    job = cluster.submit(script, "wrong")
    cluster.wait_for(job, ["FAILED"])
    assert "num_nodes" in cluster.output(job)


def test_templates(cluster):
    assert len(TEMPLATES) == 4
    for path in TEMPLATES:
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert cluster.accepts(path) == ""
