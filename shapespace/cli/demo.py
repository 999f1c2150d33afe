"""The command ``demo``: its signature is the syntax, its docstring the help text."""

from pathlib import Path

from shapespace.cli.output import say


def demo(*, out: str = "demo", seed: int = 0) -> None:
    """Make people from formulas, scan them, train a space, reconstruct unseen scans, interpolate.

    The demo ends with a table and one page, OUT/index.html. It needs no data, no account and no
    network, and takes about four minutes on two cores. It can be stopped at any time: the same
    command continues.

    Args:
        out: folder for all files.
        seed: seed of scanning, training and fitting.
    """
    from shapespace.cli.demo_steps import run_demo

    say(run_demo(Path(out), seed))
