"""Where the time goes: seconds by the name of a stage."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Timings(dict[str, float]):
    """Seconds by stage, in the order in which they first ended: ``with stages("sigma"): ...``."""

    @contextmanager
    def __call__(self, name: str) -> Generator[None, None, None]:
        """Add the wall time of the block to ``name``, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - start
