"""The page of ``shapespace view``: its controls, which call a session, and the run it follows."""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from shapespace.config.options import Axis
from shapespace.errors import InputError, at_least, one_line
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.viewer.scene.colours import COLOURS
from shapespace.viewer.scene.page_scene import Scene, as_html
from shapespace.viewer.server import HOST, check_viewer, open_server
from shapespace.viewer.session import REACH, Session
from shapespace.viewer.targets import Opened, opened
from shapespace.viewer.watch import EVERY, Losses

if TYPE_CHECKING:
    import viser

STEP = 0.01
"""Step of a slider, in standard deviations and in shares of a walk."""
MOST_NAMES = 500
"""Names in a list. With more scans, a field finds those that hold a text."""
NONE = "(none)"
STROLL_STEPS, STROLL_SECONDS = 21, 3.0
"""Steps and time of a walk that is begun on the map."""
DROP = """<div id="drop" style="margin: 0 1em 0.5em; padding: 0.9em; text-align: center;
font-size: 0.85em; border: 1.5px dashed #9aa5b1; border-radius: 6px; color: #5f6c7b"
ondragover="event.preventDefault(); this.style.background = '#e8f0fa'"
ondragleave="this.style.background = ''"
ondrop="event.preventDefault(); this.style.background = '';
const input = document.querySelector('input[type=file]');
input.files = event.dataTransfer.files;
input.dispatchEvent(new Event('change', {bubbles: true}))">or drop it here</div>"""
"""A place to drop a file on: it hands the file to the button above it."""


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
        target: what the page shows.
        on_run: called with the name of another run that is chosen.
    """

    def __init__(
        self,
        server: "viser.ViserServer",
        scene: Scene,
        session: Session,
        target: Opened,
        on_run: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._server = server
        self._scene = scene
        self._session = session
        self._target = target
        self._chart: Any = None
        gui = server.gui
        gui.main_panel.dock_right()
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        said = gui.add_html(as_html([]))
        if target.runs:
            run = gui.add_dropdown("Run", tuple(target.runs), initial_value=target.run)
            run.on_update(self._handled(lambda _: on_run(run.value)))
        if target.names:
            self._add_results()
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

    def _add_results(self) -> None:
        names = (NONE, *self._target.names[:MOST_NAMES])
        result = self._server.gui.add_dropdown("Reconstruction", names)

        def chosen(_: Event) -> None:
            if result.value != NONE:
                self._session.show_result(self._target.result(result.value))

        result.on_update(self._handled(chosen))

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
        gui, session, card = self._server.gui, self._session, self._scene.map
        names = session.space.names
        with gui.add_folder("Shapes"):
            gui.add_html(as_html(["Map: click a shape, Shift-click another to walk"]))
            written = gui.add_checkbox("All names", initial_value=False)
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
            session.leave_walk()
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

        card.on_pick = partial(self._picked, first, second, share)
        written.on_update(self._handled(lambda _: card.show_names(written.value)))
        first.on_update(self._handled(chosen))
        share.on_update(self._handled(walk))
        second.on_update(self._handled(lambda _: second.value == NONE or walk(_)))
        if find is not None:
            find.on_update(self._handled(filtered))

    def _picked(self, first: Any, second: Any, share: Any, name: str, is_second: bool) -> None:
        """Show a shape that was clicked on the map, or walk to it; the lists follow."""
        box = second if is_second and first.value != NONE else first
        if name not in box.options:
            box.options = (*box.options, name)
        box.value = name
        share.value = 0.0
        if box is second:
            self._stroll(first.value, name, share)
        else:
            self._session.leave_walk()
            self._session.choose(name)

    def _stroll(self, first: str, second: str, slider: Any) -> None:
        """Walk from one shape to another, as a hand on the slider would."""
        for share in np.linspace(0, 1, STROLL_STEPS):
            slider.value = round(float(share), 2)
            self._session.walk(first, second, float(share))
            time.sleep(STROLL_SECONDS / STROLL_STEPS)

    def _add_scan(self) -> dict[str, Any]:
        gui, session = self._server.gui, self._session
        with gui.add_folder("Scan"):
            upload = gui.add_upload_button("Open a scan file")
            gui.add_html(DROP)
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


class OpenPage:
    """A page that is open.

    Args:
        server: of the page.
        target: what it shows.
        out: folder for what is saved.
        resolution: grid nodes along the longest side of a mesh at rest.
        up: axis that points up.
    """

    def __init__(
        self, server: "viser.ViserServer", target: Opened, out: Path, resolution: int, up: Axis
    ) -> None:
        self.server = server
        self.target = target
        self.url = f"http://{HOST}:{server.get_port()}"
        self._out = out
        self._resolution = resolution
        self._up: Axis = up
        self.session, self.controls = self._made()

    def show_run(self, name: str) -> None:
        """Show another run of the target; its shapes, codes and controls take all places."""
        space = space_of_meshes(self.target.runs[name])
        # What was reconstructed belongs to the space that was opened with it.
        self.target = replace(self.target, space=space, run=name, results=None, names=())
        self.session.stop()
        self.server.gui.reset()
        self.server.scene.reset()
        self.session, self.controls = self._made()

    def look(self) -> None:
        """Take over what is new in the run that is followed."""
        watch = self.target.watch
        if watch is None:
            return
        try:
            space, losses = watch.new_space(), watch.new_losses()
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

    def close(self) -> None:
        """End server and session."""
        self.session.stop()
        # viser says on standard output that it ends.
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def _made(self) -> tuple[Session, Controls]:
        scene = Scene(self.server, self._up)
        session = Session(self.target.space, scene, self._out, self._resolution)
        controls = Controls(self.server, scene, session, self.target, self.show_run)
        session.start()
        return session, controls


def open_page(
    path: str | Path,
    *,
    port: int = 8080,
    watch: bool = False,
    results: str | Path | None = None,
    out: str | Path = "view",
    resolution: int = 128,
    up: Axis = "y",
    say: Callable[[str], object] = lambda _: None,
) -> OpenPage:
    """Open the page of a space.

    Args:
        path: a checkpoint, the folder of a run, or a folder that holds the folders of runs.
        port: of this machine; the next free one is taken where it is in use.
        watch: follow the run while it trains.
        results: folder that ``shapespace reconstruct`` wrote with this space.
        out: folder for what is saved.
        resolution: grid nodes along the longest side of a mesh at rest.
        up: axis that points up.
        say: called with lines for the terminal.

    Raises:
        InputError: there is no checkpoint, its shapes are 2-D, or viser is not installed.
    """
    at_least(2, resolution=resolution)
    check_viewer()
    found = None if results is None else Path(results)
    target = opened(Path(path), watch=watch, results=found, say=say)
    server = open_server(port)
    page = OpenPage(server, target, Path(out), resolution, up)
    if port and server.get_port() != port:
        say(f"port {port} is in use; took {server.get_port()}")
    page.look()
    return page


def serve_page(path: str | Path, *, say: Callable[[str], object], **options: Any) -> None:
    """Open the page of a space, say where it is, and serve it until Ctrl-C.

    Args:
        path: as of :func:`open_page`.
        say: called with lines for the terminal.
        **options: the others of :func:`open_page`.
    """
    page = open_page(path, say=say, **options)
    say(f"{page.url} is open in this machine's browsers; Ctrl-C ends it")
    page.serve()
