"""Work on many items in processes: few in flight, and one that dies takes no other with it."""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_workers(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, lost: Result
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with what ``function`` makes of it, as they become ready.

    workers: processes, each with one item in flight; 1 works in this process, in order, and a
    script that asks for more needs its ``__main__`` guard. lost: the result of an item whose
    process died, by a crash in a library or for want of memory; it was tried again alone before.
    """
    if workers == 1:
        yield from ((item, function(item)) for item in items)
        return
    left = iter(items)
    while suspects := (yield from _until_one_dies(function, left, workers)):
        for item in suspects:
            yield item, _alone(function, item, lost)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _until_one_dies(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Results of ``items`` until all are done or a process dies; then those that were in flight."""
    running: dict[Future[Result], Item] = {}
    with _pool(workers) as pool:
        while True:
            for item in islice(items, workers - len(running)):
                running[_submit(pool, function, item)] = item
            if not running:
                return []
            done = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                return list(running.values())
            for future in done:
                yield running.pop(future), future.result()


def _alone(function: Callable[[Item], Result], item: Item, lost: Result) -> Result:
    with _pool(1) as pool:
        try:
            return _submit(pool, function, item).result()
        except BrokenProcessPool:
            return lost


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item
) -> Future[Result]:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin)


def _begin() -> None:
    """One thread a process; an interruption is the parent's to handle, and its death ends us."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
