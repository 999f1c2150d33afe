"""A job that is preempted again and again trains as one that is not: no step lost or repeated.

SHAPESPACE_PREEMPTIONS is how often, 2 by default.
"""

import os
import random
import re
import time

import pytest

from shapespace.training.statistics import read_metrics
from tests.slurm.jobs import fit_script

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
PREEMPTIONS = int(os.environ.get("SHAPESPACE_PREEMPTIONS", "2"))
STEPS_AN_EPOCH = 20
"""Of the toy store: 4 scans x 10 repeats / 2 ranks."""


class Job:
    """A long training on the virtual cluster and what it has said."""

    def __init__(self, cluster, store, folder):
        self.cluster, self.folder = cluster, folder
        options = ["--trainer.max_epochs=1000000", "--data.repeats=10"]
        self.id = cluster.submit(fit_script(folder, store, *options), "long")

    def rows(self):
        return read_metrics(self.folder / "metrics.csv")

    def stops(self):
        """The steps at which it stopped."""
        line = rf"stopping at step (\d+) \(SIGUSR1\): saved {re.escape(str(self.last))}$"
        return [int(step) for step in re.findall(line, self.cluster.output(self.id), re.M)]

    def starts(self):
        """The steps at which it went on."""
        line = rf"going on from {re.escape(str(self.last))}, step (\d+)$"
        return [int(step) for step in re.findall(line, self.cluster.output(self.id), re.M)]

    @property
    def last(self):
        return self.folder / "last.ckpt"

    def wait_until(self, condition, what):
        self.cluster.wait_until(condition, what, self.id)

    def train_an_epoch(self):
        """Wait until the process that runs now has ended an epoch of its own."""
        before = len(self.rows())
        self.wait_until(lambda: len(self.rows()) > before, "an epoch has ended")

    def preempt(self, count):
        """Signal, wait until it is requeued for the ``count``-th time, all its processes gone."""
        self.cluster.signal(self.id, "SIGUSR1")
        requeued = lambda: self.cluster.restarts(self.id) == count  # noqa: E731
        self.wait_until(requeued, f"requeued {count} times")
        self.cluster.wait_for(self.id, ["PENDING"])

    def go_on(self, count):
        """Start the requeued job, wait until it says for the ``count``-th time where it goes on."""
        self.cluster.start_now(self.id)
        self.wait_until(lambda: len(self.starts()) == count, "it goes on")


def assert_folder_is_whole(folder):
    """A checkpoint and the one before, and nothing half written."""
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    found = {name for name in names if name.endswith(".ckpt")}
    assert {"last.ckpt"} <= found <= {"last.ckpt", "previous.ckpt"}
    assert [name for name in names if ".part" in name] == []


def assert_every_epoch_once(rows):
    """Epochs follow each other, and each has all its steps."""
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    steps = [STEPS_AN_EPOCH * (epoch + 1) for epoch in range(len(rows))]
    assert [int(row["step"]) for row in rows] == steps


def test_preempted_again_and_again(cluster, toy_store, tmp_path):
    chance = random.Random(0)
    job = Job(cluster, toy_store, tmp_path / "run")
    try:
        for count in range(1, PREEMPTIONS + 1):
            job.train_an_epoch()
            time.sleep(chance.uniform(0, 2))
            job.preempt(count)
            assert len(job.stops()) == count
            assert cluster.output(job.id).count(f"requeueing job {job.id}\n") == count
            assert_folder_is_whole(job.folder)
            assert_every_epoch_once(job.rows())
            job.go_on(count)
            assert job.starts() == job.stops()
        job.train_an_epoch()
    finally:
        cluster.cancel(job.id)
    assert len(job.rows()) > job.stops()[-1] // STEPS_AN_EPOCH
    assert_every_epoch_once(job.rows())
