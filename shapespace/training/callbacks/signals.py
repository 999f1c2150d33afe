"""Signals that ask a training to stop; they are remembered until the step is complete."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""Signals that schedulers send before they end a job, and Ctrl-C."""


class Signals:
    """Remembers the last signal of ``ASKING`` in ``caught``; a second Ctrl-C stops at once.

    As a context manager it catches signals, and restores the handlers that were there before.
    """

    def __init__(self) -> None:
        self.caught = 0
        self._process = os.getpid()
        self._interrupted = False
        self._before = {}

    def __enter__(self) -> "Signals":
        self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def listen(self) -> None:
        """Catch signals from now on; do nothing outside the main thread, as Python requires."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = {number: signal.signal(number, self._remember) for number in ASKING}
        # A second call must not take this object's own handlers for those of before.
        self._before = self._before or before

    def _remember(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            # Worker processes of data loaders have inherited this handler.
            if os.getpid() == self._process:
                sys.stderr.write("\nstopping after this step; again to stop at once\n")
        # SIGUSR1 asks for a new start of the job, and SIGTERM often follows it.
        if self.caught != signal.SIGUSR1:
            self.caught = number


def slurm_job(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the number of the SLURM job of this process, or None outside a job."""
    job = environ.get("SLURM_JOB_ID")
    if environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return job if job is not None and re.fullmatch(r"\d+(_\d+)?", job) else None


def requeue(job: str) -> None:
    """Ask SLURM to start ``job`` again; raise RuntimeError with its answer if it refuses."""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"scontrol requeue {job}: {error}") from error
    if done.returncode:
        raise RuntimeError(f"scontrol requeue {job}: {done.stderr.strip()}")
