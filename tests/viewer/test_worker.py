"""One thread: the latest drawing wins, a fine one gives way, a fault ends nothing."""

import threading
import time

import pytest

from shapespace.errors import InputError
from shapespace.viewer.worker import SETTLE, GivenUp, Worker
from tests.waiting import PATIENCE


@pytest.fixture
def said():
    return []


@pytest.fixture
def worker(said):
    found = Worker(said.append)
    yield found
    found.stop()


def blocked(worker):
    """A task that holds the worker until the event is set."""
    begun, go = threading.Event(), threading.Event()

    def task():
        begun.set()
        assert go.wait(PATIENCE)

    worker.do(task)
    assert begun.wait(PATIENCE)
    return go


def test_the_latest_value_wins_and_no_call_blocks(worker):
    go = blocked(worker)
    drawn = []
    start = time.monotonic()
    for value in range(1000):
        worker.draw(
            lambda _, v=value: drawn.append(v), lambda _, v=value: drawn.append(("fine", v))
        )
    assert time.monotonic() - start < PATIENCE / 2, "calls return at once while the worker is busy"
    go.set()
    assert worker.wait(PATIENCE)
    assert drawn == [999, ("fine", 999)]


def test_a_fine_drawing_waits_for_rest_and_gives_way_to_movement(worker):
    begun, stopped = threading.Event(), threading.Event()

    def fine(superseded):
        begun.set()
        while not superseded():
            time.sleep(0.001)
        stopped.set()
        raise GivenUp

    start = time.monotonic()
    worker.draw(lambda _: None, fine)
    assert begun.wait(PATIENCE) and time.monotonic() - start >= SETTLE
    drawn = []
    worker.draw(lambda _: drawn.append("coarse"), lambda _: drawn.append("fine"))
    assert stopped.wait(PATIENCE) and worker.wait(PATIENCE)
    assert drawn == ["coarse", "fine"]


def test_a_drawing_passes_between_the_steps_of_a_task(worker):
    drawn, left = [], threading.Event()

    def task():
        drawn.append("first step")
        assert left.wait(PATIENCE)
        worker.let_pass()
        drawn.append("second step")

    worker.do(task)
    worker.draw(lambda _: drawn.append("coarse"), lambda _: drawn.append("fine"))
    left.set()
    assert worker.wait(PATIENCE)
    assert sorted(drawn, key=drawn.index)[-1] == "fine"
    assert drawn.index("coarse") < drawn.index("second step") < drawn.index("fine")


def test_tasks_keep_their_order_and_a_fault_is_one_line(worker, said, capsys):
    done = []
    worker.do(lambda: done.append(1))
    worker.do(lambda: (_ for _ in ()).throw(InputError("scan.ply: is\nempty")))
    worker.do(lambda: 1 / 0)
    worker.do(lambda: done.append(2))
    assert worker.wait(PATIENCE)
    assert done == [1, 2]
    assert said[0] == "scan.ply: is empty"
    assert "ZeroDivisionError" in said[1] and "\n" not in said[1]
    assert "Traceback" in capsys.readouterr().err


def test_a_stopped_worker_gives_up_what_runs(said):
    worker = Worker(said.append)
    begun = threading.Event()

    def task():
        begun.set()
        while True:
            time.sleep(0.001)
            worker.let_pass()

    worker.do(task)
    assert begun.wait(PATIENCE)
    worker.stop()
    assert not worker._thread.is_alive() and said == []
