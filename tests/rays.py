"""Rays for sphere tracing: those of a camera, and rays that leave one eye."""

import numpy as np
import torch


def camera_rays(camera, height, width):
    """Origins and directions [K,3] of the rays of an orthographic camera, float32."""
    origins = camera.origins(height, width).reshape(-1, 3)
    directions = np.broadcast_to(camera.direction, origins.shape)
    return tuple(torch.tensor(part, dtype=torch.float32) for part in (origins, directions))


def rays_from_an_eye(camera, height, width):
    """Origins and unit directions [K,3]: from 4 before the origin through the camera's pixels."""
    eye = -4.0 * camera.direction
    through = camera.origins(height, width).reshape(-1, 3) + camera.distance * camera.direction
    directions = (through - eye) / np.linalg.norm(through - eye, axis=1, keepdims=True)
    origins = np.broadcast_to(eye, directions.shape)
    return tuple(torch.tensor(part, dtype=torch.float32) for part in (origins, directions))
