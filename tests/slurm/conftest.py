"""One virtual SLURM cluster for all tests here; they are skipped where it cannot be had."""

import os
import shutil

import pytest

from tests.slurm.cluster import PROGRAMS, Cluster


@pytest.fixture(scope="session")
def cluster():
    """A running :class:`Cluster` of two nodes."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is missing: .ci/install_slurm")
    if os.geteuid() != 0:
        pytest.skip("starting SLURM takes root")
    with Cluster() as running:
        yield running
