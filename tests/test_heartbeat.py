"""A rank that is silent is named, in a bounded time; one that ended well is missed by nobody."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from shapespace.errors import InputError
from shapespace.heartbeat import Heartbeats
from tests.conftest import ROOT, TOY


def ranks(count, timeout, said):
    first = Heartbeats(0, count, "127.0.0.1", 0, timeout, said.append)
    others = [
        Heartbeats(rank, count, "127.0.0.1", first.port, timeout, said.append)
        for rank in range(1, count)
    ]
    for beats in (first, *others):
        beats.start()
    return first, others


def test_a_silent_rank_is_named():
    said: list[str] = []
    first, (second, third) = ranks(3, 3.0, said)
    time.sleep(2)
    assert first.lost(1.5) is None
    second.stop()
    assert first.lost(3.0) is None
    third._ended.set()  # it beats no more, and has not said why
    line = first.lost(3.0)
    assert line is not None
    assert re.fullmatch(rf"rank 2 \(host \S+, process {os.getpid()}\) of 3 is gone: .*", line)
    time.sleep(3)
    assert said == [line]
    first.stop()


def test_a_timeout_is_positive():
    with pytest.raises(InputError, match="timeout"):
        Heartbeats(0, 1, "127.0.0.1", 0, 0.0, print)


def start(store, folder, launcher, *options):
    arguments = [
        *("-m", "shapespace", "fit", f"--config={TOY}", f"--data.store={store}"),
        *(f"--trainer.default_root_dir={folder}", "--data.num_points=64", "--data.batch_size=1"),
        *("--trainer.max_epochs=1000000", "--preview.every=10000000"),
        *("--trainer.devices=2", "--trainer.strategy=ddp", "--checkpoint.minutes=0.02", *options),
    ]
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(what, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError


def second_rank(process):
    """The process of rank 1: of two that train, by the variable that says so."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            facts = (entry / "environ").read_bytes().split(b"\0")
            if b"LOCAL_RANK=1" in facts and os.getpgid(int(entry.name)) == process.pid:
                return int(entry.name)
    return None


def end(process):
    """Leave nothing of it behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_other_rank_ends_and_names_the_lost_one(number, toy_store, tmp_path):
    process = start(toy_store, tmp_path / "run", [], "--ranks.timeout=5")
    try:
        until(lambda: (tmp_path / "run" / "last.ckpt").exists())
        lost = second_rank(process)
        os.kill(lost, number)
        before = time.monotonic()
        said = process.communicate(timeout=60)[1]
        seconds = time.monotonic() - before
    finally:
        end(process)
    assert process.returncode not in (0, None)
    assert re.search(rf"shapespace.*: rank 1 \(.*process {lost}\) of 2 is gone", said), said
    assert seconds < 40


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_both_ranks_stop_for_a_signal_to_one(number, toy_store, tmp_path):
    process = start(toy_store, tmp_path / "run", [])
    try:
        until(lambda: (tmp_path / "run" / "last.ckpt").exists())
        os.kill(process.pid, number)
        said = process.communicate(timeout=60)[1]
        until(lambda: second_rank(process) is None, 20)
    finally:
        end(process)
    assert process.returncode == 128 + number
    name = signal.Signals(number).name
    assert len(re.findall(rf"stopping at step \d+ \({name}\): saved \S+last.ckpt\n", said)) == 1
    assert f"shapespace fit: stopped by {name}; run the same command to go on" in said
    assert said.count("stopped by") == 1
    assert "Traceback" not in said and "sync_dist" not in said
