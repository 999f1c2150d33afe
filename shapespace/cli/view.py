"""The command ``view``: its signature is the syntax, its docstring the help text."""

from shapespace.cli.output import say_line
from shapespace.config.options import Axis


def view(
    target: str,
    *,
    port: int = 8080,
    watch: bool = False,
    out: str = "view",
    resolution: int = 128,
    up: Axis = "y",
) -> None:
    """Open a page with the shapes of a space: sliders, names to walk between, a scan to drop.

    The page is open to this machine alone, at 127.0.0.1, until Ctrl-C. Sliders move along the
    principal axes of the codes. A scan file that is dropped is read and fitted as reconstruct does
    it, and shown beside its reconstruction. Save writes mesh, code and an animated walk to OUT.

      shapespace view runs/bodies-cpu
      shapespace view runs/bodies-cpu --watch         follows a training
      ssh -L 8080:127.0.0.1:8080 SERVER               the page of another machine

    Args:
        target: checkpoint, or folder of a run.
        port: port of the page. Where it is in use, the next free one is taken.
        watch: follow a run that is training: its newest checkpoint and its losses.
        out: folder for what is saved.
        resolution: grid nodes along the longest side of a mesh at rest.
        up: axis of the shapes that points up.
    """
    from shapespace.viewer.page import open_page

    page = open_page(
        target,
        port=port,
        watch=watch,
        out=out,
        resolution=resolution,
        up=up,
        say=say_line,
    )
    say_line(f"{page.url} is open in this machine's browsers; Ctrl-C ends it")
    page.serve()
