"""Progress bars on a terminal; in a log file, a plain line every 20 seconds."""

import os
import sys
import weakref
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from shapespace.utils.launch import rank_and_world

SECONDS_BETWEEN_LINES = 20.0
LINE = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]\n"
PARTS = "{desc}: {n:.1f}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"
"""Format of a bar that moves within a unit."""
TIME = "{desc} [{elapsed}]"
"""Format of a bar without a unit: nobody knows how much is to come."""
_shown: "weakref.WeakSet[Bar]" = weakref.WeakSet()


class Bar(tqdm):
    """A bar that is not shown while another one is: one line moves at a time."""

    def close(self) -> None:
        """Close the bar; the next one may show."""
        _shown.discard(self)
        super().close()

    def update_parts(self, per_step: int, done: int = 1) -> None:
        """Advance by ``done`` parts of a step, of which there are ``per_step``."""
        self.update(done / per_step)


def progress(
    iterable: Iterable[Any] | None = None,
    desc: str = "",
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
    shown: bool = True,
    delay: float = 0.0,
    parts: bool = False,
) -> Bar:
    """Make a tqdm progress bar on standard error; only rank 0 shows one, and one at a time.

    Args:
        iterable: steps to count; None counts by ``update``.
        desc: name of the work, in front of the bar.
        total: number of steps; the length of ``iterable`` by default.
        unit: name of one step; "" shows the time alone.
        initial: steps that were done before.
        shown: whether there is a bar at all.
        delay: seconds before the bar shows.
        parts: the bar is updated by parts of a step.
    """
    plain = not sys.stderr.isatty()
    form = TIME if not unit else PARTS if parts else None
    if plain:
        form = LINE if form is None else f"{form}\n"
    hidden = not shown or bool(_shown) or rank_and_world(os.environ)[0] > 0
    bar = Bar(
        iterable,
        desc,
        total,
        unit=unit,
        initial=initial,
        dynamic_ncols=not plain,
        mininterval=SECONDS_BETWEEN_LINES if plain else 0.1,
        miniters=1 if plain else None,
        bar_format=form,
        disable=hidden,
        delay=delay,
    )
    if not hidden:
        _shown.add(bar)
    return bar
