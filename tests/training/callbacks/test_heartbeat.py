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
from shapespace.training.callbacks.heartbeat import GRACE, Heartbeats
from tests.conftest import ROOT, TOY
from tests.waiting import PATIENCE, until


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
    # Times well above the second between two beats: a busy machine delays them.
    first, (second, third) = ranks(3, 6.0, said)
    time.sleep(2)
    assert first.lost(4.0) is None
    second.stop()
    assert first.lost(4.0) is None
    third._ended.set()  # it beats no more, and has not said why
    third._threads[0].join(2)
    time.sleep(1.5)  # ranks are read once a second: the last beat is known when the watch begins
    line = first.lost(4.0)
    assert line is not None
    place = rf"\(host \S+, process {os.getpid()}\)"
    assert re.fullmatch(rf"of 3 ranks, rank 2 {place} is gone, its own log says why", line)
    time.sleep(3.5)
    assert said == [line]
    first.stop()


def test_a_rank_that_failed_is_named_with_its_reason():
    said: list[str] = []
    first, (second, third) = ranks(3, 100.0, said)
    second.fail("disk\non fire")
    line = third.lost(10.0)
    assert line is not None and first.lost(10.0) == line
    assert line.startswith("of 3 ranks, rank 1 (host ") and line.endswith("failed (disk on fire)")
    time.sleep(GRACE + 1.5)
    assert said == [line, line]


def test_a_store_that_does_not_answer_is_rank_0(monkeypatch):
    """As when rank 0 is stopped: its connections stay open, and calls do not come back."""
    said: list[str] = []
    first, (second,) = ranks(2, 2.0, said)
    time.sleep(1.5)
    monkeypatch.setattr(second, "_look", lambda: second._ended.wait(100))
    time.sleep(4)
    assert any(line.startswith("of 2 ranks, rank 0 (") for line in said)
    second.stop()
    first.stop()


NEVER_STOPPED = """
from shapespace.training.callbacks.heartbeat import Heartbeats

beats = Heartbeats(0, 1, "127.0.0.1", 0, 100.0, print)
beats._ended.wait = lambda seconds: beats._ended.is_set()  # in a call to the store all the time
beats.start()
time.sleep(0.3)
"""


def test_a_process_ends_well_whose_heartbeats_were_never_stopped():
    code = f"import time\n{NEVER_STOPPED}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_timeout_is_positive():
    with pytest.raises(InputError, match="timeout"):
        Heartbeats(0, 1, "127.0.0.1", 0, 0.0, print)


def start(store, folder, launcher, *options):
    arguments = [
        *("-m", "shapespace", "train", f"--config={TOY}", f"--data.store={store}"),
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


def rank_of(process, rank):
    """The process of a rank of two that train."""
    return process.pid if rank == 0 else second_rank(process)


def second_rank(process):
    """The process of rank 1, by the variable that says so."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            facts = (entry / "environ").read_bytes().split(b"\0")
            if b"LOCAL_RANK=1" in facts and os.getpgid(int(entry.name)) == process.pid:
                return int(entry.name)
    return None


def has_ended(number):
    """Whether a process is gone, or waits for nothing but to be counted."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def end(process):
    """Leave nothing of it behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "rank"), [(signal.SIGKILL, 1), (signal.SIGSTOP, 1), (signal.SIGSTOP, 0)]
)
def test_the_other_rank_ends_and_names_the_lost_one(number, rank, toy_store, tmp_path):
    process = start(toy_store, tmp_path / "run", [], "--ranks.timeout=5")
    try:
        until(lambda: (tmp_path / "run" / "last.ckpt").exists())
        time.sleep(2)
        lost, other = rank_of(process, rank), rank_of(process, 1 - rank)
        os.kill(lost, number)
        until(lambda: has_ended(other))
    finally:
        end(process)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode not in (0, None)
    assert re.search(rf"of 2 ranks, rank {rank} \(.*process {lost}\) is gone", said), said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_ranks_stop_for_a_signal_to_one(number, toy_store, tmp_path):
    process = start(toy_store, tmp_path / "run", [])
    try:
        until(lambda: (tmp_path / "run" / "last.ckpt").exists())
        os.kill(process.pid, number)
        said = process.communicate(timeout=PATIENCE)[1]
        until(lambda: second_rank(process) is None)
    finally:
        end(process)
    assert process.returncode == 128 + number
    name = signal.Signals(number).name
    assert len(re.findall(rf"stopping at step \d+ \({name}\): saved \S+last.ckpt\n", said)) == 1
    assert f"shapespace train: stopped by {name}; run the same command to go on" in said
    assert said.count("stopped by") == 1
    assert "Traceback" not in said and "sync_dist" not in said


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_with_an_error_of_its_own_ends_the_other(rank, toy_store, tmp_path):
    options = (f"--model.sampler=tests.parts.Failing{rank}", "--trainer.max_epochs=3")
    process = start(toy_store, tmp_path / "run", [], *options)
    try:
        said = process.communicate(timeout=PATIENCE)[1]
        until(lambda: second_rank(process) is None)
    finally:
        end(process)
    assert process.returncode not in (0, None)
    assert "the sampler has a hole" in said
    reason = r"has failed \(ValueError: the sampler has a hole\)|is gone, with exit code 1"
    assert re.search(rf"of 2 ranks, rank {rank} \(.*\) ({reason})", said), said
