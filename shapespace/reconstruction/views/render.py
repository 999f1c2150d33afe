"""Images of a shape of a space, from its field alone: depth, normals, mask and a shaded picture.

Frame and unit are those of the space. Letters: H x W pixels, K rays, L code length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from shapespace.cameras.files import read_cameras, write_cameras
from shapespace.cameras.images import write_depth
from shapespace.cameras.pinhole import Pinhole, ring
from shapespace.config.options import RenderOptions
from shapespace.data.formats.readers import read_bytes
from shapespace.errors import InputError, one_line
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.reconstruction.results import code_of
from shapespace.rendering.meshes import BLUE, save_image
from shapespace.rendering.shading import KEY_LIGHT, to_linear, to_srgb
from shapespace.space import TrainedSpace
from shapespace.surface.ray_gradients import box_depths
from shapespace.surface.sphere_tracing import RELAXATION, trace
from shapespace.surface.volume_weights import soft_surface
from shapespace.utils.files import output_folder, path_inside

STEPS = 64
"""Steps of sphere tracing from each end: a picture has many rays that pass a limb closely."""
RAYS_AT_ONCE = 2048
"""Rays whose samples are weighed at a time."""
SHARPNESS = 1000.0
"""Sharpness of the weights, in 1 / the size of the shape's box."""
Way = Literal["trace", "weights"]
"""Sphere tracing, or the unbiased weights of NeuS."""


@dataclass(frozen=True)
class RenderedView:
    """What one camera sees of a shape.

    Args:
        camera: the camera.
        depth: along its axis; 0 where it sees nothing.
        mask: True where it sees the shape.
        normals: unit and outward, in the frame of the space; zero where it sees nothing.
    """

    camera: Pinhole
    depth: Float[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]
    normals: Float[np.ndarray, "H W 3"]

    def noisy(self, noise: float, seed: int) -> "RenderedView":
        """The same view, with normal noise of a standard deviation on the depths."""
        drawn = np.random.default_rng(seed).normal(0, noise, self.depth.shape)
        return replace(self, depth=np.where(self.mask, np.maximum(self.depth + drawn, 0), 0.0))


def view_of(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    camera: Pinhole,
    *,
    way: Way = "trace",
    lipschitz: float | None = None,
) -> RenderedView:
    """What a camera sees of the shape of a code.

    Args:
        space: the space, of 3-D shapes.
        code: of the shape.
        camera: in the frame of the space.
        way: sphere tracing with relaxed steps, or NeuS' weights.
        lipschitz: bound of |grad f|; None estimates it.
    """
    directions = camera.directions().reshape(-1, 3)
    origins = np.broadcast_to(camera.position, directions.shape)
    rays = [torch.tensor(part).to(code) for part in (origins, directions)]
    if way == "trace":
        hits = trace(
            space.metric,
            code,
            *rays,
            extent=space.extent,
            steps=STEPS,
            lipschitz=lipschitz,
            relaxation=RELAXATION,
        )
        depth, seen, normals = hits.depth, hits.hit, hits.normals
    else:
        depth, seen, normals = _weighed(space, code, *rays)
    shape = (camera.height, camera.width)
    mask = seen.cpu().numpy().reshape(shape)
    along = (directions @ camera.forward).reshape(shape)
    distance = depth.double().cpu().numpy().reshape(shape)
    return RenderedView(
        camera=camera,
        depth=np.where(mask, np.where(mask, distance, 0) * along, 0.0),
        mask=mask,
        normals=np.where(mask[..., None], normals.double().cpu().numpy().reshape(*shape, 3), 0.0),
    )


@torch.no_grad()
def _weighed(
    space: TrainedSpace, code: Tensor, origins: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth, whether it is seen, and normal of each ray by NeuS' weights."""
    parts = []
    for rows in torch.arange(len(origins), device=code.device).split(RAYS_AT_ONCE):
        start, along = origins[None, rows], directions[None, rows]
        near, far = box_depths(start, along, space.extent)
        soft = soft_surface(
            space.metric,
            code[None],
            start,
            along,
            near=near,
            far=far,
            sharpness=SHARPNESS / space.extent,
        )
        parts.append((soft.depth[0], soft.opacity[0] > 0.5, soft.normals[0]))
    depth, seen, normals = (torch.cat(part) for part in zip(*parts, strict=True))
    return depth, seen, normals


def shaded(view: RenderedView, up: int = 1) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of a view on white: a sky above and a key light, without shadows.

    Args:
        view: with its normals.
        up: the upright axis, 0, 1 or 2.
    """
    normals = view.normals
    # The key light stands to the upper left of the camera.
    camera = view.camera
    light = camera.rotation @ (KEY_LIGHT * np.array([1.0, -1.0, -1.0]))
    key = np.clip(normals @ light, 0, 1)
    sky = 0.5 + 0.5 * normals[..., up]
    rim = (1 - np.abs((normals * camera.directions()).sum(-1))) ** 3
    colour = to_linear(np.array([[BLUE]]))[0, 0] * (0.35 * sky + 0.75 * key)[..., None]
    linear = colour + 0.08 * rim[..., None]
    return to_srgb(np.where(view.mask[..., None], linear, 1.0))


def cameras_around(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    num: int,
    *,
    up: int = 1,
    size: int = 320,
    elevation: float = 10.0,
    azimuth: float = 20.0,
) -> list[Pinhole]:
    """A ring of cameras that show the whole shape of a code.

    Args:
        space: the space.
        code: of the shape.
        num: of cameras.
        up: the upright axis, 0, 1 or 2.
        size: pixels along each side of the images.
        elevation: degrees by which the cameras look down.
        azimuth: degrees of the first camera about the upright axis.

    Raises:
        InputError: the code has no surface.
    """
    mesh = space.mesh(code, resolution=48)
    if not len(mesh.vertices):
        raise InputError("the code has no surface, so that there is nothing to render")
    middle = np.asarray(mesh.bounds.mean(0))
    radius = float(np.linalg.norm(mesh.vertices - middle, axis=1).max())
    return ring(
        num,
        middle,
        radius,
        up=up,
        elevation=elevation,
        azimuth=azimuth,
        size=(size, size),
    )


def write_views(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    cameras: Sequence[Pinhole],
    out: str | Path,
    *,
    suffix: str = ".png",
    way: Way = "trace",
    lipschitz: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
    up: int = 1,
    on_view: Callable[[Path], object] = lambda path: None,
) -> list[RenderedView]:
    """Render a shape, and write its images and the camera file ``transforms.json``.

    Args:
        space: the space, of 3-D shapes.
        code: of the shape.
        cameras: in the frame of the space.
        out: folder for the files.
        suffix: of the depth maps: .png with 1000 steps a unit, or .npy.
        way: sphere tracing or NeuS' weights.
        lipschitz: bound of |grad f|; None estimates it.
        noise: standard deviation of the depths, in the unit of the space.
        seed: of the noise.
        up: the upright axis, for the light of the shaded pictures.
        on_view: called with the shaded picture of each view.

    Raises:
        InputError: a file cannot be written, or a depth does not fit into a PNG.
    """
    folder = output_folder(out)
    views = []
    for row, camera in enumerate(cameras):
        view = view_of(space, code, camera, way=way, lipschitz=lipschitz)
        view = view.noisy(noise, seed + row) if noise else view
        name = f"{row:03d}"
        depth = write_depth(path_inside(folder, f"depth_{name}", suffix), view.depth)
        mask = path_inside(folder, f"mask_{name}", ".png")
        save_image(np.uint8(255) * view.mask.astype(np.uint8), mask)
        coded = np.rint(127.5 * (view.normals + 1)).astype(np.uint8)
        save_image(coded, path_inside(folder, f"normals_{name}", ".png"))
        picture = path_inside(folder, f"shaded_{name}", ".png")
        save_image(shaded(view, up), picture)
        views.append(
            replace(view, camera=replace(camera, name=picture.name, depth=depth, mask=mask))
        )
        on_view(picture)
    write_cameras(folder / "transforms.json", [view.camera for view in views])
    return views


def render_shape(
    checkpoint: str | Path,
    name: str | None,
    out: str | Path,
    *,
    code: str | Path | None = None,
    cameras: str | Path | None = None,
    options: RenderOptions = RenderOptions(),
) -> list[Path]:
    """Render a shape of a checkpoint; returns the pictures and the camera file.

    Args:
        checkpoint: file of a trained space.
        name: of a training scan; None for a code.
        out: folder for the files.
        code: NPY file of a code, in place of a name.
        cameras: camera file, in the frame of the space; None for a ring around the shape.
        options: cameras and images.

    Raises:
        InputError: a file cannot be read, or neither or both of name and code are given.
    """
    if (name is None) == (code is None):
        raise InputError("give the NAME of a training scan, or --code FILE, and not both")
    space = space_of_meshes(checkpoint)
    latent = space.code(name) if name is not None else _read_code(space, Path(str(code)))
    up = "xyz".index(options.up)
    if cameras is None:
        used = cameras_around(
            space,
            latent,
            options.views,
            up=up,
            size=options.size,
            elevation=options.elevation,
            azimuth=options.azimuth,
        )
    else:
        used = read_cameras(cameras, options.axes)
    paths: list[Path] = []
    views = write_views(
        space,
        latent,
        used,
        out,
        suffix=f".{options.depth_format}",
        way=options.by,
        lipschitz=None if options.step_factor is None else 1 / options.step_factor,
        noise=options.noise,
        seed=options.seed,
        up=up,
        on_view=paths.append,
    )
    if not any(view.mask.any() for view in views):
        where = f"{one_line(cameras)}: " if cameras is not None else ""
        raise InputError(
            f"{where}no camera sees the shape; cameras are to be in the frame of the space, in its "
            f"unit, with --axes opengl or opencv"
        )
    return [*paths, Path(out) / "transforms.json"]


def _read_code(space: TrainedSpace, path: Path) -> Float[Tensor, " L"]:
    """The code of an NPY file, for a space."""
    try:
        found = code_of(read_bytes(path))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{one_line(path)}: {one_line(error)}; give a code in an NPY") from error
    if len(found) != space.decoder.latent_size:
        raise InputError(
            f"{one_line(path)}: a code of {len(found)} numbers, those of the space have "
            f"{space.decoder.latent_size}"
        )
    return torch.from_numpy(found).to(space.codes.table.weight)
