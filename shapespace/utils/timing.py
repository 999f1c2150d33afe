"""Wall time of the stages of a computation."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Timings(dict[str, float]):
    """Seconds by name of a stage, in the order in which the stages first ended.

    Usage: ``with timings("sigma"): ...``.
    """

    @contextmanager
    def __call__(self, name: str) -> Generator[None, None, None]:
        """Add the wall time of the block to the stage ``name``, also if the block raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - start
