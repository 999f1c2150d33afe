"""Signals that ask a training to stop, kept until it can: at the end of a step."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What schedulers send before they end a job, and Ctrl-C."""


class Signals:
    """Remembers the last of the signals ``ASKING`` that came; a second Ctrl-C stops at once.

    As a context it listens, and in the end leaves signals to whoever had them before.
    """

    def __init__(self) -> None:
        self.caught, self._process, self._interrupted = 0, os.getpid(), False
        self._before = {}

    def __enter__(self) -> "Signals":
        self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def listen(self) -> None:
        """From now on, in the main thread; elsewhere signals cannot be caught, and none are."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = {number: signal.signal(number, self._remember) for number in ASKING}
        self._before = self._before or before

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            if os.getpid() == self._process:  # readers of data have inherited this handler
                sys.stderr.write("\nstopping after this step; again to stop at once\n")
        if self.caught != signal.SIGUSR1:  # which asks for a new start, whatever follows it
            self.caught = number


def slurm_job(environ: Mapping[str, str] = os.environ) -> str | None:
    """The number of the SLURM job of this process, None outside of one."""
    job = environ.get("SLURM_JOB_ID")
    if environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return job if job is not None and re.fullmatch(r"\d+(_\d+)?", job) else None


def requeue(job: str) -> None:
    """Ask SLURM to start ``job`` again; RuntimeError, with what scontrol said, if it refuses."""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"scontrol requeue {job}: {error}") from error
    if done.returncode:
        raise RuntimeError(f"scontrol requeue {job}: {done.stderr.strip()}")
