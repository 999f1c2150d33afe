"""What the page shows and what its controls do, without the page.

All browsers look at one session: whoever moves a slider moves it for all. Calls return at once; the
:class:`~shapespace.viewer.worker.Worker` computes, and what it finds is told to a
:class:`~shapespace.viewer.scene.display.Display`.

Letters: L code length, A axes, N points, V vertices.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.baselines.shapes import pose_of
from shapespace.errors import InputError, one_line, printable
from shapespace.evaluation.samples.prior import prior_or_mixture
from shapespace.priors.base import CodePrior
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.record import summary_line
from shapespace.reconstruction.results import CODE, MESH, Reconstruction, bytes_of_code
from shapespace.rendering.animation import write_walk
from shapespace.report.code_statistics import PrincipalAxes, principal_axes
from shapespace.sampling import seeded_generator
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, placed
from shapespace.utils.files import output_folder, path_inside, replacing
from shapespace.viewer.dropped import DroppedScan, fit_dropped, painted, read_dropped, save_dropped
from shapespace.viewer.scene.code_map import Mark, code_map
from shapespace.viewer.scene.colours import Colours, Way, bent
from shapespace.viewer.scene.display import Display, Place
from shapespace.viewer.scene.meshes import COARSE, Picture, Sketcher
from shapespace.viewer.worker import Superseded, Worker

MOST_AXES = 8
"""Principal axes that have a slider."""
REACH = 3.0
"""A slider reaches so many standard deviations to each side of the mean code."""
WALK_STEPS = 13
"""Shapes of a walk that is saved, both ends included."""
WALK_NODES = 96
"""Nodes along the longest side of each of them."""


class Session:
    """A space, the shape of it that is shown, and the scan that was dropped last.

    Args:
        space: the space.
        display: that shows what was found.
        out: folder for what is saved; made when something is.
        resolution: nodes along the longest side of a mesh at rest.
    """

    def __init__(
        self, space: TrainedSpace, display: Display, out: Path, resolution: int = 128
    ) -> None:
        self.display = display
        self.out = out
        self.resolution = resolution
        self.worker = Worker(display.say)
        self._lock = threading.RLock()
        self._colours: Colours = "plain"
        self._dropped: DroppedScan | None = None
        self._ends: tuple[str, str] | None = None
        self._take(space)
        self._place = Place(self._mean, (0.0,) * self.num_sliders)

    @property
    def num_sliders(self) -> int:
        """The number of sliders; those beyond :attr:`num_axes` move nothing."""
        return min(MOST_AXES, self.space.decoder.latent_size)

    @property
    def num_axes(self) -> int:
        """The number of sliders along which the codes vary."""
        return min(MOST_AXES, len(self.axes.variances))

    @property
    def place(self) -> Place:
        """The shape that is wanted now."""
        with self._lock:
            return self._place

    @property
    def dropped(self) -> DroppedScan | None:
        """The scan that was dropped last, once it is fitted."""
        with self._lock:
            return self._dropped

    def start(self) -> None:
        """Show the map, and the shape that is wanted at first, the mean."""
        self.display.show_map(self._map)
        self._redraw(moving=False)

    def rest(self) -> None:
        """Go back to the mean shape."""
        with self._lock:
            self._go(self._mean)
        self._redraw(moving=False)

    def slide(self, values: Sequence[float]) -> None:
        """Move along the principal axes; the rest of the code stays.

        Args:
            values: of all sliders, in standard deviations.
        """
        with self._lock:
            steps = np.subtract(values, self._place.values)
            moved = steps @ self._steps
            self._way = self._axis_way(int(np.abs(steps).argmax())) if len(steps) else self._way
            code = self._place.code + torch.from_numpy(moved).to(self._place.code)
            self._place = Place(code, tuple(values))
        self._redraw(moving=True)

    def choose(self, name: str) -> None:
        """Show the shape of a training scan; InputError if there is none of that name."""
        with self._lock:
            self._go(self.space.code(name), name)
        self._redraw(moving=False)

    def walk(self, first: str, second: str, share: float) -> None:
        """Show a shape between those of two training scans.

        Args:
            first: name of the scan at 0.
            second: name of the scan at 1.
            share: of the way from the first to the second.
        """
        with self._lock:
            start, end = self.space.code(first), self.space.code(second)
            self._ends = first, second
            self._way = Way(end - start, f"the walk from {first} to {second}")
            self._go((1 - share) * start + share * end)
        self._redraw(moving=True)

    def leave_walk(self) -> None:
        """Forget between which shapes the last walk went."""
        with self._lock:
            self._ends = None

    def show_result(self, result: Reconstruction) -> None:
        """Show a reconstruction that was made before, and what is known of it.

        Args:
            result: of a scan, by this space.

        Raises:
            InputError: its mesh is damaged, or its code has another length than those of the space.
        """
        name, length = result.name, self.space.decoder.latent_size
        if len(result.code) != length:
            raise InputError(
                f"{printable(name)}: its code has {len(result.code)} numbers, those of this space "
                f"have {length}; open the space that made it"
            )
        mesh = result.mesh
        frame, pose = pose_of(result.facts)
        points = torch.from_numpy(frame.to_store(np.asarray(mesh.vertices, np.float64)))
        own = pose.exact()(points[None])[0].numpy()
        with self._lock:
            self._go(
                result.code.to(self._mean), "", trimesh.Trimesh(own, mesh.faces, process=False)
            )
        self.display.tell([printable(summary_line(result.facts))])
        self._redraw(moving=False)

    def new_shape(self) -> None:
        """Show a shape drawn from the prior over the codes.

        The prior is that beside the checkpoint if there is one of this space, else a mixture of
        Gaussians that is learnt at the first call.
        """
        self.worker.do(self._new_shape)

    def colour(self, colours: Colours) -> None:
        """Colour the shape in another way."""
        with self._lock:
            self._colours = colours
        self._redraw(moving=False)

    def drop(self, name: str, content: bytes) -> None:
        """Read and fit a file that was dropped, and show it beside its reconstruction.

        Args:
            name: of the file, as the browser gives it.
            content: its bytes.
        """
        shown = one_line(name, 60)
        self.display.say(f"{shown}: waits for its turn")
        self.worker.do(lambda: self._fit(name, shown, content))

    def forget(self) -> None:
        """Take the dropped scan away."""
        with self._lock:
            self._dropped = None
        self.display.show_scan(None)
        self.display.tell([])
        self._redraw(moving=False)

    def save(self) -> None:
        """Write what is shown to the folder ``out``, under a name that is free.

        A dropped scan gives mesh, code, facts, and the walk from the mean shape to it. Without one,
        the shape gives mesh and code, and the walk between the two names that were chosen.
        """
        self.worker.do(self._save)

    def replace(self, space: TrainedSpace) -> None:
        """Go on with another space of the same training; the sliders stay where they are."""
        self.worker.do(lambda: self._replace(space))

    def stop(self) -> None:
        """End the worker."""
        self.worker.stop()

    def _take(self, space: TrainedSpace) -> None:
        table = space.codes.table.weight.detach()
        self.space = space
        self.axes: PrincipalAxes = principal_axes(table.double().cpu().numpy())
        # A slider without an axis, as before the codes differ, has a step of zero.
        self._steps = np.zeros((self.num_sliders, table.shape[1]))
        lengths = np.sqrt(self.axes.variances[: self.num_axes])
        self._steps[: self.num_axes] = self.axes.directions[: self.num_axes] * lengths[:, None]
        self._mean = torch.from_numpy(self.axes.mean).to(table)
        self._map = code_map(space.names, table.double().cpu().numpy(), self.axes)
        self._way = self._axis_way(0)
        self._sketcher = Sketcher(space)
        self._prior: CodePrior | None = None
        self._num_drawn = 0

    def _axis_way(self, row: int) -> Way:
        """One standard deviation along the principal axis of a slider."""
        step = torch.from_numpy(self._steps[row] if self.num_sliders else np.zeros(0))
        return Way(step.to(self.space.codes.table.weight), f"axis {row + 1}, one deviation")

    def _new_shape(self) -> None:
        with self._lock:
            space = self.space
            if self._prior is None:
                self._prior = prior_or_mixture(space)
            prior, number = self._prior, self._num_drawn
            self._num_drawn += 1
            code = prior.sample(1, seeded_generator("cpu", number))[0].to(self._mean)
            self._go(code)
        off = torch.linalg.vector_norm(space.codes.table.weight.detach() - code, dim=1)
        near = space.names[int(off.argmin())]
        self.display.say(f"new shape {number + 1} of the {prior.kind}; nearest code: {near}")
        self._redraw(moving=False)

    def _go(
        self, code: Float[Tensor, " L"], name: str = "", mesh: trimesh.Trimesh | None = None
    ) -> None:
        """Take a code, the values of the sliders that belong to it, and what is shown of it."""
        values = np.zeros(self.num_sliders)
        found = self.axes.coordinates(code[None].double().cpu().numpy())[0, : self.num_axes]
        values[: self.num_axes] = found / np.sqrt(self.axes.variances[: self.num_axes])
        # What is beyond a slider, or off the axes, stays in the code; sliders move it from there.
        shown = np.clip(values.round(2), -REACH, REACH) + 0.0  # no -0
        self._place = Place(code, tuple(shown.tolist()), name, mesh)

    def _redraw(self, moving: bool) -> None:
        coarse = partial(self._draw, False) if moving else None
        self.worker.draw(coarse, partial(self._draw, True))

    def _draw(self, is_fine: bool, superseded: Superseded) -> None:
        """Draw the place that is wanted now, which may be later than the one that asked."""
        resolution = self.resolution if is_fine else min(COARSE, self.resolution)
        with self._lock:
            place, dropped, colours = self._place, self._dropped, self._colours
            sketcher, way, ends = self._sketcher, self._way, self._ends
            at = self._map.place(self.axes.coordinates(place.code[None].double().cpu().numpy())[0])
        mesh = place.mesh or sketcher.mesh(place.code, resolution, superseded)
        picture = Picture(mesh, is_fine=is_fine)
        if not len(mesh.faces):
            picture = replace(picture, legend="this code has no surface")
        elif colours == "bending":
            # A coarse mesh has no colours: the drag would wait for them.
            picture = bent(picture, self.space, place.code, way) if is_fine else picture
        elif colours != "plain":
            picture = painted(picture, place.code, dropped, colours)
        self.display.show(picture)
        self.display.mark(Mark(at, place.name, ends))
        if is_fine:
            self.display.set_sliders(place.values)

    def _fit(self, name: str, shown: str, content: bytes) -> None:
        # What is known of an earlier scan must not stand beside the fault of this one.
        self.display.tell([])
        self.display.say(f"{shown}: reading")
        self._fit_scan(read_dropped(self.space, name, content), shown)

    def _fit_scan(self, scan: PreparedScan, shown: str) -> None:
        rounds = 0

        def on_round() -> None:
            nonlocal rounds
            rounds += 1
            self.display.say(f"{shown}: fitting, round {rounds}")
            self.worker.let_pass()

        sketcher = Sketcher(self.space)
        found = fit_dropped(
            self.space, scan, lambda code: sketcher.mesh(code, self.resolution), on_round=on_round
        )
        with self._lock:
            self._dropped, self._ends = found, None
            self._go(found.fitted.codes[0])
        self.display.show_scan(found.points)
        self.display.tell(found.lines())
        self.display.say(f"{shown}: {found.verdict}")
        self._redraw(moving=False)

    def _save(self) -> None:
        with self._lock:
            place, dropped, ends = self._place, self._dropped, self._ends
        folder = output_folder(self.out)
        if dropped is not None:
            name = free_name(folder, dropped.scan.name)
            paths = save_dropped(dropped, folder, name)
            meshes = [
                placed(mesh, dropped.scan.frame, dropped.fitted.poses.exact())
                for mesh in self._walk(self._mean, dropped.fitted.codes[0])
            ]
            paths.append(write_walk(meshes, path_inside(folder, f"{name}_walk", ".glb")))
        else:
            name = free_name(folder, place.name or "shape")
            frame = self.space.frame(place.name) if place.name else None
            mesh = self.space.mesh(place.code, frame, self.resolution)
            paths = [write_mesh(mesh, path_inside(folder, name, MESH))]
            paths.append(path_inside(folder, name, CODE))
            with replacing(paths[1]) as part:
                part.write_bytes(bytes_of_code(place.code))
            if ends is not None:
                meshes = self._walk(*map(self.space.code, ends))
                paths.append(write_walk(meshes, path_inside(folder, f"{name}_walk", ".glb")))
        self.display.say(printable(f"wrote {', '.join(map(str, paths))}"))

    def _walk(self, start: Float[Tensor, " L"], end: Float[Tensor, " L"]) -> list[trimesh.Trimesh]:
        """Meshes on the straight line from code to code, in the frame of the space."""
        sketcher = Sketcher(self.space)
        meshes = []
        for step, share in enumerate(np.linspace(0, 1, WALK_STEPS)):
            self.display.say(f"walk: {step + 1} of {WALK_STEPS}")
            meshes.append(sketcher.mesh((1 - share) * start + share * end, WALK_NODES))
            self.worker.let_pass()
        return meshes

    def _replace(self, space: TrainedSpace) -> None:
        with self._lock:
            before, dropped = self._place, self._dropped
            self._take(space)
            self.display.show_map(self._map)
            if before.name and before.name in space.names:
                self._go(space.code(before.name), before.name)
            else:
                moved = torch.from_numpy(np.array(before.values) @ self._steps)
                self._place = Place(self._mean + moved.to(self._mean), before.values)
        if dropped is None:
            self._redraw(moving=False)
        else:
            self._fit_scan(dropped.scan, one_line(dropped.scan.name, 60))


def free_name(folder: Path, name: str) -> str:
    """``name``, or ``name_2`` and so on where files of that name are there already."""
    path_inside(folder, name)
    taken = {path.stem for path in folder.iterdir()}
    number = 1
    found = name
    while found in taken or f"{found}_walk" in taken:
        number += 1
        found = f"{name}_{number}"
    return found
