"""How long it still takes: a bar on a terminal, a plain line now and then in a log file."""

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
    """A tqdm bar on standard error that suits where it is written to; none unless ``shown``.

    Of processes that were started together only the first shows any. delay: seconds that pass
    before it shows.
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
