"""The page of ``shapespace view``: its controls, which call a session, and the run it follows."""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from shapespace.checkpoint import CHECKPOINT
from shapespace.config.options import Axis
from shapespace.errors import InputError, at_least, one_line
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.space import TrainedSpace
from shapespace.viewer.drawing import COLOURS
from shapespace.viewer.scene import Scene, as_html
from shapespace.viewer.server import HOST, open_server
from shapespace.viewer.session import REACH, Session
from shapespace.viewer.watch import EVERY, Losses, RunWatch, first_space

if TYPE_CHECKING:
    import viser

STEP = 0.01
"""Step of a slider, in standard deviations and in shares of a walk."""
MOST_NAMES = 500
"""Names in a list. With more scans, a field finds those that hold a text."""
NONE = "(none)"


@runtime_checkable
class Event(Protocol):
    """What viser tells a handler: who did something; None where the program did it itself."""

    @property
    def client(self) -> Any:
        """The browser of whoever did it."""
        ...

    @property
    def target(self) -> Any:
        """The control."""
        ...


class Controls:
    """The controls of the page.

    Args:
        server: of the page.
        scene: that shows what they do.
        session: that does it.
    """

    def __init__(self, server: "viser.ViserServer", scene: Scene, session: Session) -> None:
        self._server = server
        self._scene = scene
        self._session = session
        self._chart: Any = None
        gui = server.gui
        gui.configure_theme(
            control_layout="fixed", control_width="large", show_logo=False, show_share_button=False
        )
        said = gui.add_html(as_html([]))
        sliders = self._add_axes()
        self._add_names()
        texts = self._add_scan()
        scene.attach(sliders, {"said": said, **texts})
        self._losses = gui.add_html(as_html([]), visible=False)

    def show_losses(self, losses: Losses) -> None:
        """Show the losses of a run that is training."""
        self._losses.content = as_html([losses.line()])
        self._losses.visible = True
        if len(losses.values) < 2:
            return
        if self._chart is None:
            from viser import uplot

            self._chart = self._server.gui.add_uplot(
                (losses.epochs, losses.values),
                (uplot.Series(label="epoch"), uplot.Series(label="loss", stroke="#3572b0")),
                scales={"x": uplot.Scale(time=False)},
                aspect=2.0,
            )
        else:
            self._chart.data = (losses.epochs, losses.values)

    def _handled(self, do: Callable[[Event], object]) -> Callable[[Event], None]:
        """A handler that acts for people only, and shows a fault as one line."""

        def handler(event: Event) -> None:
            # A control that the program sets calls its handler without a client.
            if event.client is None:
                return
            try:
                do(event)
            except InputError as error:
                self._scene.say(one_line(error))

        return handler

    def _add_axes(self) -> list[Any]:
        gui, session = self._server.gui, self._session
        shares = session.axes.variances / (session.axes.variances.sum() or 1.0)
        sliders = []
        with gui.add_folder("Principal axes"):
            for row in range(session.num_sliders):
                share = f"{shares[row]:.0%}" if row < len(shares) else "0%"
                sliders.append(
                    gui.add_slider(
                        f"{row + 1} ({share})", min=-REACH, max=REACH, step=STEP, initial_value=0.0
                    )
                )
            mean = gui.add_button("Mean shape")
            new = gui.add_button("New shape")
        move = self._handled(lambda _: session.slide([slider.value for slider in sliders]))
        for slider in sliders:
            slider.on_update(move)
        mean.on_click(self._handled(lambda _: session.rest()))
        new.on_click(self._handled(lambda _: session.new_shape()))
        return sliders

    def _add_names(self) -> None:
        gui, session = self._server.gui, self._session
        names = session.space.names
        with gui.add_folder("Shapes"):
            if len(names) > MOST_NAMES:
                find = gui.add_text("Find", "", hint=f"{len(names)} names; {MOST_NAMES} are listed")
            else:
                find = None
            listed = (NONE, *names[:MOST_NAMES])
            first = gui.add_dropdown("Shape", listed)
            second = gui.add_dropdown("Walk to", listed)
            share = gui.add_slider("Walk", min=0.0, max=1.0, step=STEP, initial_value=0.0)

        def chosen(_: Event) -> None:
            share.value = 0.0
            if first.value != NONE:
                session.choose(first.value)

        def walk(_: Event) -> None:
            if NONE in (first.value, second.value):
                raise InputError("Walk: choose a shape and one to walk to first")
            session.walk(first.value, second.value, share.value)

        def filtered(_: Event) -> None:
            text = "" if find is None else find.value.lower()
            fit = [name for name in names if text in name.lower()][:MOST_NAMES]
            for each in (first, second):
                each.options = (NONE, *dict.fromkeys([*fit, *({each.value} - {NONE})]))

        first.on_update(self._handled(chosen))
        share.on_update(self._handled(walk))
        second.on_update(self._handled(lambda _: second.value == NONE or walk(_)))
        if find is not None:
            find.on_update(self._handled(filtered))

    def _add_scan(self) -> dict[str, Any]:
        gui, session = self._server.gui, self._session
        with gui.add_folder("Scan"):
            upload = gui.add_upload_button("Open a scan file")
            told = gui.add_html(as_html([]))
            colours = gui.add_dropdown("Colours", COLOURS)
            legend = gui.add_html(as_html([]))
            save = gui.add_button("Save")
            away = gui.add_button("Take the scan away")

        def dropped(event: Event) -> None:
            file = event.target.value
            session.drop(file.name, file.content)

        upload.on_upload(self._handled(dropped))
        colours.on_update(self._handled(lambda _: session.colour(colours.value)))
        save.on_click(self._handled(lambda _: session.save()))
        away.on_click(self._handled(lambda _: session.forget()))
        return {"told": told, "legend": legend}


@dataclass
class OpenPage:
    """A page that is open.

    Args:
        url: its address.
        session: that it shows.
        controls: on it.
        watch: the run that it follows, if any.
        close: ends server and session.
    """

    url: str
    session: Session
    controls: Controls
    watch: RunWatch | None
    close: Callable[[], None]

    def look(self) -> None:
        """Take over what is new in the run that is followed."""
        if self.watch is None:
            return
        try:
            space, losses = self.watch.new_space(), self.watch.new_losses()
        except InputError as error:
            self.session.display.say(str(error))
            return
        if space is not None:
            self.session.replace(space)
        if losses is not None:
            self.controls.show_losses(losses)

    def serve(self) -> None:
        """Serve until Ctrl-C."""
        try:
            while True:
                time.sleep(EVERY)
                self.look()
        finally:
            self.close()


def open_page(
    target: str | Path,
    *,
    port: int = 8080,
    watch: bool = False,
    out: str | Path = "view",
    resolution: int = 128,
    up: Axis = "y",
    say: Callable[[str], object] = lambda _: None,
) -> OpenPage:
    """Open the page of a space.

    Args:
        target: a checkpoint, or the folder of a run.
        port: of this machine; the next free one is taken where it is in use.
        watch: follow the run while it trains.
        out: folder for what is saved.
        resolution: grid nodes along the longest side of a mesh at rest.
        up: axis that points up.
        say: called with lines for the terminal.

    Raises:
        InputError: there is no checkpoint, its shapes are 2-D, or viser is not installed.
    """
    at_least(2, resolution=resolution)
    server = open_server(port)
    try:
        followed, space = _space_of(Path(target), watch, say)
        scene = Scene(server, up)
        session = Session(space, scene, Path(out), resolution)
        controls = Controls(server, scene, session)
    except BaseException:
        server.stop()
        raise

    def close() -> None:
        session.stop()
        # viser says on standard output that it ends.
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()

    session.start()
    if port and server.get_port() != port:
        say(f"port {port} is in use; took {server.get_port()}")
    page = OpenPage(f"http://{HOST}:{server.get_port()}", session, controls, followed, close)
    page.look()
    return page


def _space_of(
    target: Path, watch: bool, say: Callable[[str], object]
) -> tuple[RunWatch | None, TrainedSpace]:
    """The space of a checkpoint or run, and the watch of the run."""
    if watch:
        if target.is_file():
            raise InputError(f"{target}: is a file; --watch follows the folder of a run")
        followed = RunWatch(target)
        return followed, first_space(followed, say)
    if target.is_dir():
        if not (target / CHECKPOINT).exists():
            raise InputError(
                f"{target}: holds no {CHECKPOINT}; give a checkpoint or the folder of a run, or "
                "wait for its first checkpoint with --watch"
            )
        target = target / CHECKPOINT
    return None, space_of_meshes(target)
