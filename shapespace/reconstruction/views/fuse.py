"""Scans from depth maps and masks with their cameras, and what their sensors saw through.

Frame and unit: those of the camera file. Depth maps are brought to its unit. Letters: V views, K
points or rays, H x W pixels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from shapespace.cameras.images import read_depth, read_mask
from shapespace.cameras.pinhole import Pinhole
from shapespace.cameras.points import DepthPoints, points_of_depth
from shapespace.config.options import CameraAxes, ReadOptions
from shapespace.data.formats.readers import RawScan, checked, read_bytes
from shapespace.data.sources import AnySource, Source, StoredScan
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, one_line
from shapespace.fitting.residuals import median_distance
from shapespace.fitting.sight.lines import Sightlines, seen_from
from shapespace.scan import PreparedScan

MOST_APART = 5.0
"""The middles of the points of two views lie at most so many sizes of a view apart."""
MUCH_NEARER = 0.5
"""Another reading of the cameras is the right one if it brings the views so much nearer."""
MASK_RAYS = 20_000
"""Rays of a mask that are kept, half of them inside where there are so many."""
FAR = 1e6
"""Depth up to which rays of a mask are followed, in sizes of the view; a ball cuts them later."""


@dataclass(frozen=True)
class ViewFiles:
    """The files of one view.

    Args:
        camera: the camera.
        depth: its depth map; None if it has none.
        mask: its mask; None if it has none.
    """

    camera: Pinhole
    depth: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class SensedScan(Source):
    """A scan whose sensor stood at a known position.

    Args:
        sensor: its position, in the frame and unit of the file.
    """

    sensor: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def digest(self) -> str:
        """The digest of the file and of the position."""
        return _hashed(super().digest(), repr(self.sensor))

    def load(self, options: ReadOptions = ReadOptions()) -> tuple[RawScan, str]:
        """Read the scan; returns it together with its :meth:`digest`."""
        return super().load(options)[0], self.digest()


@dataclass(frozen=True)
class Views(Source):
    """One scan from several depth maps and masks.

    Args:
        files: of the views.
        factor: units of the cameras in one unit of the depth maps, those of PNG files and those of
            others.
        per_metre: units of the cameras in a metre.
        given_axes: the axes that the user named; None if he did not.
    """

    files: tuple[ViewFiles, ...] = ()
    factor: tuple[float, float] = (1e-3, 1.0)
    per_metre: float = 1.0
    given_axes: CameraAxes | None = None

    def digest(self) -> str:
        """The digest of all files and of all cameras."""
        parts = [repr(self.factor)]
        for view in self.files:
            camera = view.camera
            parts += [repr((camera.width, camera.height, camera.focal, camera.middle))]
            parts += [camera.rotation.tobytes().hex(), camera.position.tobytes().hex()]
            for path in (view.depth, view.mask):
                parts.append("" if path is None else _hashed(read_bytes(path).hex()))
        return _hashed(*parts)

    def load(self, options: ReadOptions = ReadOptions()) -> tuple[RawScan, str]:
        """The points of all views, with normals; returns them together with the :meth:`digest`."""
        return self._raw, self.digest()

    @cached_property
    def lines(self) -> Sightlines:
        """All lines of sight, in the frame of the cameras: those to points, and those of masks."""
        parts = []
        for view, points in zip(self.files, self._points, strict=True):
            mask = self._mask(view)
            if mask is not None:
                parts.append(mask_lines(mask, view.camera))
            if points is not None:
                parts.append(seen_from(view.camera.position, points.points, None))
        return Sightlines.cat(parts)

    @cached_property
    def _points(self) -> list[DepthPoints | None]:
        """The points of each view; None for a view without depth."""
        found: list[DepthPoints | None] = []
        for view in self.files:
            mask = self._mask(view)
            if view.depth is None:
                found.append(None)
                continue
            points = points_of_depth(self._depth(view), view.camera, mask=mask)
            if not points.num_pixels:
                raise InputError(
                    f"{one_line(view.depth)}: no pixel has a depth"
                    + ("" if mask is None else " inside its mask")
                    + "; leave the view out"
                )
            found.append(points)
        return found

    @cached_property
    def _raw(self) -> RawScan:
        """The points of all views, with an account of what was left out."""
        found = [points for points in self._points if points is not None]
        if not found:
            raise InputError(f"{self}: has masks and no depth map")
        _check_meeting(self, [points.points for points in found])
        pixels, edges, grazing, lonely = np.sum(
            [(p.num_pixels, p.num_edges, p.num_grazing, p.num_lonely) for p in found], 0
        )
        account = (
            f"read {len(found)} depth maps of {pixels} pixels; left out {edges / pixels:.1%} at "
            f"edges, {grazing / pixels:.1%} seen at a grazing angle, {lonely / pixels:.1%} alone"
        )
        points = np.concatenate([p.points for p in found])
        try:
            raw = checked(points, normals=np.concatenate([p.normals for p in found]))
        except ValueError as error:
            raise InputError(f"{self}: {one_line(error)}; {account}") from error
        return replace(raw, account=account)

    def _mask(self, view: ViewFiles) -> Bool[np.ndarray, "H W"] | None:
        """The mask of a view; None if it has none."""
        if view.mask is None:
            return None
        mask = read_mask(view.mask)
        self._check_size(view, view.mask, mask)
        return mask

    def _depth(self, view: ViewFiles) -> Float[np.ndarray, "H W"]:
        """The depth map of a view in the unit of the cameras."""
        assert view.depth is not None
        depth = read_depth(view.depth)
        self._check_size(view, view.depth, depth)
        return depth * self.factor[0 if view.depth.suffix.lower() == ".png" else 1]

    def _check_size(self, view: ViewFiles, path: Path | None, image: np.ndarray | None) -> None:
        """InputError if an image has another size than its camera."""
        camera = view.camera
        if image is None or image.shape == (camera.height, camera.width):
            return
        raise InputError(
            f"{one_line(path)}: is {image.shape[1]} x {image.shape[0]}, camera {camera.name!r} of "
            f"{one_line(self.path)} is {camera.width} x {camera.height}: give the camera file of "
            "these images"
        )


def views_of(
    cameras: Sequence[Pinhole],
    path: str | Path,
    depth: Sequence[str | Path] = (),
    masks: Sequence[str | Path] = (),
    *,
    depth_unit: str | None = None,
    unit: str = "m",
    axes: CameraAxes | None = None,
    name: str | None = None,
) -> Views:
    """The scan of some depth maps and masks.

    A file belongs to the camera that names it as its depth or mask file, or whose image has its
    name. Where no name fits and there are as many files as cameras, they go by their order.

    Args:
        cameras: of the camera file.
        path: the camera file.
        depth: depth maps; empty takes those that the camera file names.
        masks: masks; may be empty.
        depth_unit: of the depth maps; None takes mm for PNG files and the unit of the cameras else.
        unit: of the cameras.
        axes: those that the user named.
        name: of the scan; None takes the name of the camera file, or of its folder.

    Raises:
        InputError: a file belongs to no camera, or there is neither depth nor mask.
    """
    by_depth = _matched(cameras, [Path(file) for file in depth], Path(path), "depth")
    by_mask = _matched(cameras, [Path(file) for file in masks], Path(path), "mask")
    if not depth and not masks:
        by_depth = {row: c.depth for row, c in enumerate(cameras) if c.depth is not None}
    files = tuple(
        ViewFiles(camera, by_depth.get(row), by_mask.get(row))
        for row, camera in enumerate(cameras)
        if row in by_depth or row in by_mask
    )
    if not files:
        raise InputError(
            f"{one_line(path)}: names no depth map; give --depth FILES or --masks FILES"
        )
    each = 1.0 if depth_unit is None else PER_METRE[unit] / PER_METRE[depth_unit]
    png = PER_METRE[unit] / PER_METRE["mm"] if depth_unit is None else each
    stem = Path(path).stem
    generic = ("transforms", "cameras", "images")
    # transforms.json is called so everywhere; its folder tells scans apart.
    usual = Path(path).resolve().parent.name or stem if stem in generic else stem
    return Views(
        name=name or usual,
        path=Path(path),
        files=files,
        factor=(png, each),
        per_metre=PER_METRE[unit],
        given_axes=axes,
    )


def _matched(
    cameras: Sequence[Pinhole], files: Sequence[Path], path: Path, kind: str
) -> dict[int, Path]:
    """The file of each camera, by the row of the camera."""
    found: dict[int, Path] = {}
    lost: list[Path] = []
    for file in files:
        rows = [row for row, camera in enumerate(cameras) if _is_of(camera, file)]
        if len(rows) == 1 and rows[0] not in found:
            found[rows[0]] = file
        else:
            lost.append(file)
    if lost and len(files) == len(cameras):
        return dict(enumerate(files))
    if lost:
        raise InputError(
            f"{one_line(lost[0])}: belongs to no camera of {one_line(path)}, which has "
            f"{len(cameras)}, such as {cameras[0].name!r}; name {kind} files like the images, or "
            "give one for each camera in their order"
        )
    return found


def _is_of(camera: Pinhole, file: Path) -> bool:
    """Whether a file is the depth map or mask that a camera names, or is called like its image."""
    named = [path for path in (camera.depth, camera.mask) if path is not None]
    return file.stem in {path.stem for path in (Path(camera.name), *named)}


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def mask_lines(mask: Bool[np.ndarray, "H W"], camera: Pinhole) -> Sightlines:
    """Rays through the pixels of a mask: those of the silhouette, and those beside it.

    Args:
        mask: True on the shape.
        camera: of the same size.
    """
    rng = np.random.default_rng(0)
    flat = mask.reshape(-1)
    rows = []
    for side in (True, False):
        own = rng.permutation(np.flatnonzero(flat == side))
        rows.append(own[: MASK_RAYS // 2])
    chosen = np.sort(np.concatenate(rows))
    count = len(chosen)
    return Sightlines(
        origins=np.broadcast_to(camera.position, (count, 3)).copy(),
        directions=camera.directions().reshape(-1, 3)[chosen],
        near=np.zeros(count),
        far=np.full(count, FAR),
        inside=flat[chosen],
    )


def _check_meeting(views: Views, points: Sequence[Float[np.ndarray, "_ 3"]]) -> None:
    """InputError if the views do not meet as the cameras were read, and do so in another reading.

    Views of one object lie about one place. Read with wrong axes, the points of a camera lie behind
    it.
    """
    if len(points) < 2:
        return
    cameras = [view.camera for view in views.files if view.depth is not None]
    own = max(_size(part) for part in points)
    apart = _apart(points)
    if apart <= MOST_APART * own:
        return
    other = {
        _other_axes(views): Pinhole.turned,
        "camera-to-world matrices in place of their inverses": Pinhole.inverted,
    }
    for remedy, change in other.items():
        moved = [
            change(camera).position + camera.local(part) @ change(camera).rotation.T
            for camera, part in zip(cameras, points, strict=True)
        ]
        if _apart(moved) < MUCH_NEARER * apart:
            raise InputError(
                f"{one_line(views.path)}: the views do not meet, as if the shape lay behind the "
                f"cameras: give {remedy}, with which they meet"
            )
    raise InputError(
        f"{one_line(views.path)}: the views do not meet: they lie {apart / own:.1f} sizes "
        "of a view apart; check the cameras, their unit and --depth-unit, or "
        "leave out the background with --masks"
    )


def _other_axes(views: Views) -> str:
    """The option that reads the cameras with the other axes."""
    if views.given_axes is not None:
        return f"--axes {'opencv' if views.given_axes == 'opengl' else 'opengl'}"
    return "the other --axes (opencv for a file that is read as opengl)"


def _apart(points: Sequence[Float[np.ndarray, "_ 3"]]) -> float:
    """The largest distance between the median points of two views."""
    middles = np.array([np.median(part, axis=0) for part in points])
    return float(np.linalg.norm(middles[:, None] - middles, axis=-1).max())


def _size(points: Float[np.ndarray, "K 3"]) -> float:
    """Median distance of points from their median."""
    return float(median_distance(torch.from_numpy(points)[None]))


def with_sensors(
    sources: Sequence[AnySource], positions: Float[np.ndarray, "C 3"]
) -> list[AnySource]:
    """Scans whose sensors stood at known positions.

    Args:
        sources: files.
        positions: one for all scans, or one for each in their order.

    Raises:
        InputError: the numbers do not fit, or a scan is one of a store.
    """
    if len(positions) not in (1, len(sources)):
        raise InputError(
            f"sensor: {len(positions)} positions for {len(sources)} scans; give one for all, or a "
            "file with one line for each scan"
        )
    each = np.broadcast_to(positions, (len(sources), 3))
    found: list[AnySource] = []
    for source, at in zip(sources, each.tolist(), strict=True):
        if isinstance(source, StoredScan):
            raise InputError(f"{source}: give the scan's own file to --sensor, not a store")
        own = (source.name, source.path, source.sequence, source.frame)
        found.append(SensedScan(*own, sensor=(at[0], at[1], at[2])))
    return found


def sight_of(source: AnySource, scan: PreparedScan) -> Sightlines | None:
    """The lines of sight of a scan in its store's frame; None if no sensor is known.

    Args:
        source: where the scan came from.
        scan: the scan.
    """
    if isinstance(source, Views):
        return source.lines.in_store(scan.frame)
    if isinstance(source, SensedScan):
        sensor = scan.frame.to_store(np.array([source.sensor]))[0]
        return seen_from(sensor, scan.points.astype(np.float64), _normals(scan))
    return None


def sights_of(
    sources: Mapping[str, AnySource], scans: Sequence[PreparedScan]
) -> list[Sightlines | None]:
    """The lines of sight of each scan; empty if no scan has any.

    ``sources`` holds the source of each scan by its name.
    """
    found = [sight_of(sources[scan.name], scan) for scan in scans]
    return found if any(lines is not None for lines in found) else []


def _normals(scan: PreparedScan) -> np.ndarray | None:
    """The normals of a scan as numbers of double precision, if their side is known."""
    known = scan.trusted_normals
    return None if known is None else known.astype(np.float64)
