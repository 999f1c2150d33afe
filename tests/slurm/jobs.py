"""Batch scripts of the tests: a toy training on two nodes, one task each."""

import shlex
import sys
from pathlib import Path

from tests.conftest import ROOT, TOY
from tests.slurm.cluster import free_ports

FIT = (sys.executable, "-m", "shapespace", "train")
SCRIPT = """#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 --requeue
export MASTER_ADDR=127.0.0.1 MASTER_PORT={port} GLOO_SOCKET_IFNAME=lo OMP_NUM_THREADS=1
cd {root}
srun --kill-on-bad-exit=1 {command}
"""


def fit_script(folder: Path, store: Path, *options: str) -> str:
    """The text of a job that trains on ``store`` with two ranks; ``folder`` is the run folder."""
    command = [
        *FIT,
        f"--config={TOY}",
        f"--data.store={store}",
        f"--trainer.default_root_dir={folder}",
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--trainer.num_nodes=2",
        "--trainer.strategy=ddp",
        "--data.batch_size=1",
        "--data.num_points=64",
        "--preview.every=1000000",
        *options,
    ]
    root = shlex.quote(str(ROOT))
    return SCRIPT.format(root=root, command=shlex.join(command), port=free_ports(1)[0])
