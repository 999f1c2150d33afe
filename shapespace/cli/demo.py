"""The command ``demo``: its signature is the syntax, its docstring the help."""

from pathlib import Path

from shapespace.cli.output import say


def demo(*, out: str = "demo", seed: int = 0) -> None:
    """Make people from formulas, scan them, train a space, reconstruct unseen scans, interpolate.

    Ends with a table and one page, OUT/index.html. Needs no data, no account and no network; about
    four minutes on two cores. Stop it at any time: the same command goes on where it stood.

    Args:
        out: folder for everything.
        seed: of scanning, training and fitting.
    """
    from shapespace.cli.demo_steps import run_demo

    say(run_demo(Path(out), seed))
