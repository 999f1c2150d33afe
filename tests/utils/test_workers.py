"""Every item comes back, by any number of processes, and a death names the one that caused it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shapespace.utils.workers import num_cores, run_in_workers
from tests.conftest import ROOT
from tests.waiting import until


def square(number):
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_in_this_process_in_order():
    assert list(run_in_workers(square, iter(range(5)), 1, -1)) == [(n, n * n) for n in range(5)]
    assert list(run_in_workers(square, [], 1, -1)) == list(run_in_workers(square, [], 2, -1)) == []
    assert num_cores() >= 1


@pytest.mark.slow
def test_processes_give_the_same_and_survive_a_death():
    numbers = [*range(11, 16), *range(4)]
    found = dict(run_in_workers(square, numbers, 2, -1))
    assert found == {n: -1 if n == 13 else n * n for n in numbers}


def failing(number):
    raise KeyError(number)


@pytest.mark.slow
def test_a_mistake_of_ours_is_raised():
    with pytest.raises(KeyError):
        list(run_in_workers(failing, [1, 2], 2, -1))


def _children(pid):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(child) for child in listed.stdout.split()]


ORPHANS = """
import time
from shapespace.utils.workers import run_in_workers
if __name__ == "__main__":
    for item in run_in_workers(time.sleep, [3600.0] * 4, 2, None):
        pass
"""


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    parent = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    until(lambda: len(_children(parent.pid)) >= 3)
    children = _children(parent.pid)
    time.sleep(1)  # both workers have begun
    parent.kill()
    parent.wait()
    until(lambda: not any(map(_alive, children)))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not state.stdout.startswith("Z")
