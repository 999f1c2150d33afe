"""Progress bars on a terminal; in a log file, a plain line every 20 seconds."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from shapespace.utils.launch import rank_and_world

SECONDS_BETWEEN_LINES = 20.0
LINE = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]\n"


def progress(
    iterable: Iterable[Any] | None = None,
    desc: str = "",
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
    shown: bool = True,
    delay: float = 0.0,
) -> tqdm:
    """Make a tqdm progress bar on standard error; only rank 0 shows one.

    Args:
        iterable: steps to count; None counts by ``update``.
        desc: name of the work, in front of the bar.
        total: number of steps; the length of ``iterable`` by default.
        unit: name of one step.
        initial: steps that were done before.
        shown: whether there is a bar at all.
        delay: seconds before the bar shows.
    """
    plain = not sys.stderr.isatty()
    return tqdm(
        iterable,
        desc,
        total,
        unit=unit,
        initial=initial,
        dynamic_ncols=not plain,
        mininterval=SECONDS_BETWEEN_LINES if plain else 0.1,
        miniters=1 if plain else None,
        bar_format=LINE if plain else None,
        disable=not shown or rank_and_world(os.environ)[0] > 0,
        delay=delay,
    )
