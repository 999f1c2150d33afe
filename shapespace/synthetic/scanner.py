"""A virtual scanner: a ring of depth cameras around a surface, with noise and missing parts.

Frame: the frame of the surface, y up, floor y = 0, metres. Every camera casts a grid of rays.
Hidden parts are missing, grazing hits are dropped, and depth is noisy. Triangles join neighbouring
pixels unless their depth jumps. The patches of all cameras overlap in one open mesh, slightly out
of register, as in the raw scans of D-FAUST. No camera is below the floor, so soles are missing.

Letters: R rows and C columns of an image (C cameras in a list of cameras), K pixels, V points and T
triangles of a patch.
"""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter

from shapespace.geometry.rays import RayScene


@dataclass(frozen=True)
class Scanner:
    """A ring of depth cameras around the vertical axis through the middle of the surface.

    Args:
        num_cameras: number of cameras, at equal angles.
        heights: heights of the cameras above the floor in metres, taken in turn.
        distance: distance of the cameras from the axis, in metres.
        pitch: distance of neighbouring rays at the axis, in metres.
        white: standard deviation of the depth noise of single pixels, in metres.
        smooth: standard deviation of the depth noise that neighbours share, in metres.
        register: standard deviation of the error of a camera's position, in metres.
        grazing: smallest cosine between ray and normal at which a hit is seen.
        jump: longest edge of a triangle, in pitches.
        dropout: share of pixels without a depth.
    """

    num_cameras: int = 12
    heights: tuple[float, ...] = (0.3, 1.4, 2.5)
    distance: float = 2.2
    pitch: float = 0.013
    white: float = 0.0005
    smooth: float = 0.0008
    register: float = 0.0006
    grazing: float = 0.2
    jump: float = 4.0
    dropout: float = 0.002

    def __call__(self, mesh: trimesh.Trimesh, seed: int = 0) -> trimesh.Trimesh:
        """Scan a closed mesh: an open mesh whose faces and normals point toward the cameras.

        The same seed gives the same scan.

        Raises:
            InputError: embreex is not installed.
        """
        rays = RayScene(mesh.vertices, mesh.faces)
        rng = np.random.default_rng(seed)
        middle = mesh.bounds.mean(axis=0)
        patches = [
            self._patch(mesh=mesh, rays=rays, eye=eye, middle=middle, rng=rng)
            for eye in self._eyes(middle)
        ]
        starts = np.cumsum([0, *(len(points) for points, _ in patches)])
        faces = [faces + start for (_, faces), start in zip(patches, starts, strict=False)]
        points = np.concatenate([points for points, _ in patches])
        return trimesh.Trimesh(points, np.concatenate(faces), process=False)

    def _eyes(self, middle: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "C 3"]:
        """Positions of the cameras."""
        turn = 2 * np.pi * (np.arange(self.num_cameras) + 0.25) / self.num_cameras
        height = np.resize(self.heights, self.num_cameras)
        x = self.distance * np.sin(turn)
        z = self.distance * np.cos(turn)
        return np.column_stack([middle[0] + x, height, middle[2] + z])

    def _patch(
        self,
        mesh: trimesh.Trimesh,
        rays: RayScene,
        eye: Float[np.ndarray, " 3"],
        middle: Float[np.ndarray, " 3"],
        rng: np.random.Generator,
    ) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "T 3"]]:
        """Points and triangles that one camera sees.

        Args:
            mesh: the surface.
            rays: the same surface, for rays.
            eye: position of the camera.
            middle: point that the camera looks at.
            rng: source of the noise.
        """
        directions = self._directions(mesh, eye, middle)
        shape = directions.shape[:2]
        flat = directions.reshape(-1, 3)
        face = rays.first(np.broadcast_to(eye, flat.shape), flat)
        hit = face >= 0
        normal = mesh.face_normals[face]
        cosine = -np.einsum("ki,ki->k", normal, flat)
        hit &= (cosine > self.grazing) & (rng.random(len(hit)) >= self.dropout)
        # Embree tells the face only (in float32); the depth is that of the plane of the face.
        height = np.einsum("ki,ki->k", mesh.vertices[mesh.faces[face, 0]] - eye, normal)
        depth = np.where(hit, height / np.where(hit, -cosine, 1), 0)
        depth += self._noise(shape, rng).ravel()
        # Each camera's position is slightly wrong, so that the patches do not match exactly.
        points = eye + rng.normal(0, self.register, 3) + depth[:, None] * flat
        faces = self._triangles(points, hit.reshape(shape))
        used, faces = np.unique(faces, return_inverse=True)
        return points[used], faces.reshape(-1, 3)

    def _directions(
        self, mesh: trimesh.Trimesh, eye: np.ndarray, middle: np.ndarray
    ) -> Float[np.ndarray, "R C 3"]:
        """Unit vectors of the rays of an image that shows the whole surface.

        Rows go down, columns to the right.
        """
        forward = (middle - eye) / np.linalg.norm(middle - eye)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        corners = trimesh.bounds.corners(mesh.bounds) - eye
        step = self.pitch / np.linalg.norm(middle - eye)
        across, along = (corners @ axis / (corners @ forward) for axis in (right, down))
        x = np.arange(across.min(), across.max() + step, step)
        y = np.arange(along.min(), along.max() + step, step)
        rays = forward + x[None, :, None] * right + y[:, None, None] * down
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def _noise(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Depth error of each pixel, in metres."""
        soft = gaussian_filter(rng.normal(size=shape), 2.0, mode="wrap")
        return self.white * rng.normal(size=shape) + self.smooth * soft / soft.std()

    def _triangles(
        self, points: Float[np.ndarray, "K 3"], hit: Bool[np.ndarray, "R C"]
    ) -> Int[np.ndarray, "T 3"]:
        """Two triangles for each square of pixels, wound toward the camera, none across a jump."""
        number = np.arange(hit.size).reshape(hit.shape)
        # Corners of each square: a b above, c d below.
        a = number[:-1, :-1]
        b = number[:-1, 1:]
        c = number[1:, :-1]
        d = number[1:, 1:]
        faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])
        # A triangle needs three pixels with a depth, and no edge across a jump in depth.
        faces = faces[hit.ravel()[faces].all(axis=1)]
        edges = np.linalg.norm(points[faces] - points[np.roll(faces, 1, axis=1)], axis=-1)
        return faces[edges.max(axis=1) < self.jump * self.pitch]
