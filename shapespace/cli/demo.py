"""The command ``demo``: its signature is the syntax, its docstring the help text."""

from pathlib import Path

from shapespace.cli.output import say, say_line


def demo(*, out: str = "demo", seed: int = 0, view: bool = False, port: int = 8080) -> None:
    """Make people from formulas, scan them, train a space, reconstruct unseen scans, interpolate.

    The demo ends with a table and one page, OUT/index.html. It needs no data, no account and no
    network, and takes four to six minutes on two cores. It can be stopped at any time: the same
    command continues.

    Args:
        out: folder for all files.
        seed: seed of scanning, training and fitting.
        view: open the space afterwards, as shapespace view does.
        port: port of that page.
    """
    from shapespace.cli.demo_steps import RUN, UNSEEN, run_demo

    if view:
        from shapespace.viewer.server import check_viewer

        # A viewer that is missing is said now, not in four minutes.
        check_viewer()
    say(run_demo(Path(out), seed))
    if view:
        from shapespace.viewer.page import serve_page

        serve_page(Path(out) / RUN, port=port, results=Path(out) / UNSEEN, say=say_line)
