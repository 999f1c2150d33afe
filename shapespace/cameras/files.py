"""Camera files: the transforms.json of nerfstudio, and the text files of COLMAP.

nerfstudio: camera-to-world matrices of 4 x 4 with OpenGL axes; focal lengths fl_x fl_y, principal
point cx cy and size w h for all frames or for each. COLMAP: world-to-camera quaternions with OpenCV
axes. Distorted cameras are refused: undistort the images first.

Letters: C cameras.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from shapespace.cameras.pinhole import TURN, Pinhole
from shapespace.config.options import CameraAxes
from shapespace.data.formats.readers import read_bytes
from shapespace.errors import InputError, one_line
from shapespace.utils.files import replacing
from shapespace.utils.plain import json_object

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
PARAMETERS = {"SIMPLE_PINHOLE": "f cx cy", "PINHOLE": "fx fy cx cy", "SIMPLE_RADIAL": "f cx cy k1"}
"""Models of COLMAP that are read, and their parameters; the last one with k1 = 0 alone."""
AXES = "camera_axes"
"""A key of ours in transforms.json: the axes of its matrices, where they are not OpenGL's."""


def read_cameras(path: str | Path, axes: CameraAxes | None = None) -> list[Pinhole]:
    """The cameras of a file.

    Args:
        path: a transforms.json, or a folder with cameras.txt and images.txt of COLMAP, or one of
            both.
        axes: of the matrices of a JSON; None takes what its key ``camera_axes`` says, else opengl.
            COLMAP's are opencv.

    Raises:
        InputError: the file is missing or damaged, or a camera is distorted.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() == ".txt":
        folder = path if path.is_dir() else path.parent
        if path.is_dir() and (path / "transforms.json").exists():
            return read_cameras(path / "transforms.json", axes)
        if axes == "opengl":
            raise InputError(f"{one_line(path)}: COLMAP's cameras have OpenCV axes; drop --axes")
        return _colmap(folder)
    try:
        content = json_object(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{one_line(path)}: {one_line(error)}") from error
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(
            f"{one_line(path)}: has no frames; give a transforms.json as nerfstudio writes it, or "
            "a folder with cameras.txt and images.txt of COLMAP"
        )
    used = axes or content.get(AXES, "opengl")
    if used not in ("opengl", "opencv"):
        raise InputError(f"{one_line(path)}: {AXES}={used!r}; give opengl or opencv")
    cameras = []
    for row, frame in enumerate(frames):
        try:
            cameras.append(_frame({**content, **frame}, row, used, path.parent))
        except (InputError, TypeError, ValueError, KeyError) as error:
            said = f"lacks {error}" if isinstance(error, KeyError) else one_line(error)
            raise InputError(f"{one_line(path)}: frame {row}: {said}") from error
    return cameras


def _frame(of: Mapping[str, Any], row: int, axes: str, folder: Path) -> Pinhole:
    """The camera of a frame of a transforms.json."""
    bent = {key: of[key] for key in DISTORTION if float(of.get(key, 0)) != 0}
    if bent:
        raise InputError(f"is distorted ({bent}); undistort the images first")
    matrix = np.asarray(of["transform_matrix"], float)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise InputError(f"transform_matrix has shape {matrix.shape}; 4 x 4 is needed")
    width, height = int(of["w"]), int(of["h"])
    if "fl_x" in of:
        focal = (float(of["fl_x"]), float(of.get("fl_y", of["fl_x"])))
    else:
        each = 0.5 * width / np.tan(0.5 * float(of["camera_angle_x"]))
        focal = (float(each), float(each))
    name = str(of.get("file_path", f"{row:03d}"))
    depth, mask = of.get("depth_file_path"), of.get("mask_path")
    return Pinhole(
        name=name,
        width=width,
        height=height,
        focal=focal,
        middle=(float(of.get("cx", width / 2)), float(of.get("cy", height / 2))),
        rotation=matrix[:3, :3] @ (TURN if axes == "opengl" else np.eye(3)),
        position=matrix[:3, 3],
        depth=None if depth is None else folder / str(depth),
        mask=None if mask is None else folder / str(mask),
    )


def _colmap(folder: Path) -> list[Pinhole]:
    """The cameras of cameras.txt and images.txt."""
    models: dict[str, tuple[int, int, tuple[float, float], tuple[float, float]]] = {}
    for line in _lines(folder / "cameras.txt"):
        number, model, width, height, *values = line.split()
        names = PARAMETERS.get(model, "").split()
        if len(names) != len(values) or not names:
            raise InputError(
                f"{folder / 'cameras.txt'}: camera {number} is a {model} of {len(values)} numbers; "
                f"one of {', '.join(PARAMETERS)} is read: undistort the images first"
            )
        given = dict(zip(names, map(float, values), strict=True))
        if given.get("k1"):
            raise InputError(f"{folder / 'cameras.txt'}: camera {number} is distorted; undistort")
        focal = (given.get("f", given.get("fx", 0.0)), given.get("f", given.get("fy", 0.0)))
        models[number] = (int(width), int(height), focal, (given["cx"], given["cy"]))
    cameras = []
    # Every image has a second line with its points, which may be empty.
    for line in _lines(folder / "images.txt", every=2):
        try:
            _, *pose, camera, name = line.split(maxsplit=9)
            qw, qx, qy, qz, *shift = map(float, pose)
            width, height, focal, middle = models[camera]
            # scipy has the real part last, and refuses a quaternion of length 0.
            to_camera = Rotation.from_quat([qx, qy, qz, qw]).as_matrix()
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{folder / 'images.txt'}: {one_line(line, 80)!r} is no image of a known camera; "
                "ID QW QX QY QZ TX TY TZ CAMERA NAME is needed"
            ) from error
        cameras.append(
            Pinhole(
                name=name,
                width=width,
                height=height,
                focal=focal,
                middle=middle,
                rotation=to_camera.T,
                position=-to_camera.T @ np.array(shift),
            )
        )
    if not cameras:
        raise InputError(f"{folder / 'images.txt'}: holds no image")
    return cameras


def _lines(path: Path, every: int = 1) -> list[str]:
    """The lines of a text file of COLMAP without comments, each ``every``-th of them."""
    lines = read_bytes(path).decode(errors="replace").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    # Empty lines stand for images without points.
    lines = lines if every > 1 else [line for line in lines if line.strip()]
    return [line for line in lines[::every] if line.strip()]


def write_cameras(
    path: str | Path, cameras: Sequence[Pinhole], axes: CameraAxes = "opengl"
) -> None:
    """Write a transforms.json as nerfstudio reads it, whole or not at all.

    Args:
        path: the file. Depth and mask files are named relative to its folder.
        cameras: C of them.
        axes: of the matrices; nerfstudio knows opengl alone.
    """
    folder = Path(path).parent
    frames = []
    for camera in cameras:
        matrix = np.eye(4)
        matrix[:3, :3] = camera.rotation @ (TURN if axes == "opengl" else np.eye(3))
        matrix[:3, 3] = camera.position
        files = {"depth_file_path": camera.depth, "mask_path": camera.mask}
        frames.append(
            {
                "file_path": camera.name,
                "w": camera.width,
                "h": camera.height,
                "fl_x": camera.focal[0],
                "fl_y": camera.focal[1],
                "cx": camera.middle[0],
                "cy": camera.middle[1],
                "transform_matrix": matrix.tolist(),
                **{
                    key: str(file.relative_to(folder) if file.is_relative_to(folder) else file)
                    for key, file in files.items()
                    if file is not None
                },
            }
        )
    content = {"camera_model": "PINHOLE", AXES: axes, "frames": frames}
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")
