"""Calls in processes of their own, with limits: a crash or a hang is an outcome like any other.

``outcomes`` starts one clean interpreter, which imports the module of the function and then forks
for each case, so that a case costs milliseconds and cannot spoil another.
"""

import importlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS, MEMORY, WAIT = 10, 1 << 30, 60
"""Limits of one call: of the processor, bytes of address space above those of the interpreter, and
seconds by the clock, for a call that waits for ever; other processes may be busy."""


@dataclass(frozen=True)
class Outcome:
    """What a call came to: its ``value``, or what it ``died`` of; seconds of work; bytes."""

    value: object
    died: str
    seconds: float
    memory: int


def outcomes(function, cases, *preload, seconds=SECONDS, memory=MEMORY):
    """The :class:`Outcome` of ``function(case)`` for each case; a module-level function.

    preload: modules that are loaded once, and do not count.
    """
    task = (function.__module__, function.__name__, preload, list(cases), seconds, memory)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", "from tests.sandbox import serve; serve()"],
        input=pickle.dumps(task),
        capture_output=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return pickle.loads(run.stdout)


def serve():
    """The interpreter that forks: a task on standard input, its outcomes on standard output."""
    module, name, preload, cases, seconds, memory = pickle.load(sys.stdin.buffer)
    for other in preload:
        importlib.import_module(other)
    function = getattr(importlib.import_module(module), name)
    results = pickle.dumps([_forked(function, case, seconds, memory) for case in cases])
    sys.stdout.buffer.write(results)


def _forked(function, case, seconds, memory):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _call(function, case, seconds, memory, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    died = (None, signal.Signals(-code).name, 0) if code < 0 else None
    value, died, taken = died or pickle.loads(answer)
    return Outcome(value, died, usage.ru_utime + usage.ru_stime, taken)


def _call(function, case, seconds, memory, writing):
    """Answer through the pipe and end the process; a signal ends it where it hangs."""
    before, limit = _kilobytes("VmRSS"), 1024 * _kilobytes("VmSize") + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(WAIT)
    try:
        answer = function(case), "", 1024 * (_kilobytes("VmHWM") - before)
    except BaseException:
        answer = None, traceback.format_exc(), 0
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(pickle.dumps(answer))
    os._exit(0)


def _kilobytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
