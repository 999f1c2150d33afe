"""A pool of worker processes that survives the death of a worker.

A worker may die of a crash in a library or for want of memory. The standard pool then gives up all
items; this pool loses at most the item that killed the worker.
"""

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
    """Apply a function to many items in worker processes; yield (item, result) as they end.

    A script that calls this with more than one worker needs a ``__main__`` guard.

    Args:
        function: function of one item; it must be picklable, as the items must be.
        items: the items, read one by one as workers become free.
        workers: number of processes; 1 works in this process and keeps the order.
        lost: result for an item whose process died twice, the second time alone.
    """
    if workers == 1:
        yield from ((item, function(item)) for item in items)
        return
    left = iter(items)
    # A broken pool does not say which item killed it: all that were in flight run again, alone.
    while suspects := (yield from _until_one_dies(function, left, workers)):
        for item in suspects:
            yield item, _alone(function, item, lost)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _until_one_dies(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Yield (item, result) until all are done or a process dies; return the items in flight."""
    running: dict[Future[Result], Item] = {}
    with _pool(workers) as pool:
        while True:
            # One item a worker: few are in flight, and so run again, if a process dies.
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
    """The result of one item in a process of its own; ``lost`` if that process dies."""
    with _pool(1) as pool:
        try:
            return _submit(pool, function, item).result()
        except BrokenProcessPool:
            return lost


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item
) -> Future[Result]:
    """Submit one item; a pool that broke just now answers with a failed future."""
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def _pool(workers: int) -> ProcessPoolExecutor:
    # A forked process would inherit locks of threads that it does not have (torch, HDF5).
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin)


def _begin() -> None:
    """Prepare a worker: one thread, no reaction to Ctrl-C, and an end together with the parent."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # A terminal sends Ctrl-C to all processes; the parent decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the death of the parent, which a killed parent cannot announce."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
