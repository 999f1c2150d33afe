"""Plane curves with an exact distance, and what a trained field makes of sparse points of one."""

from functools import cache

import numpy as np
from distance import (
    distance_to,
    is_closed,
    length,
    steepest_chord,
    turns,
    zero_curves,
)
from networks import EXTENT, evaluated

NODES = 161
CURVES = {"circle": (0.0, 10), "clover": (0.35, 20), "sparse": (0.35, 9)}
"""Depth of the three lobes, and how many points are given; sparse is the clover of fewer."""


def polar(depth, angle):
    """Points [K,2] of r = 0.6 (1 + depth cos 3 angle), and unit outward normals."""
    r, slope = 0.6 * (1 + depth * np.cos(3 * angle)), -1.8 * depth * np.sin(3 * angle)
    cos, sin = np.cos(angle), np.sin(angle)
    normals = np.stack([r * cos + slope * sin, r * sin - slope * cos], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.stack([r * cos, r * sin], 1), normals


def sparse_points(name):
    depth, count = CURVES[name]
    return polar(depth, 2 * np.pi * (np.arange(count) + 0.25) / count)


@cache
def true_curve(name, count=600):
    return polar(CURVES[name][0], np.linspace(0, 2 * np.pi, count + 1))[0]


@cache
def true_distance(name):
    """Signed distance of the points of the grid to the curve."""
    points = grid_points()
    inside = np.hypot(*points.T) < 0.6 * (
        1 + CURVES[name][0] * np.cos(3 * np.arctan2(points[:, 1], points[:, 0]))
    )
    return np.where(inside, -1, 1) * distance_to([true_curve(name)], points)


def grid_points():
    axis = np.linspace(-EXTENT, EXTENT, NODES)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def measured(decoder, name):
    """(values on the grid [R,R], numbers by quantity) of a field trained on points of a curve."""
    places = grid_points()
    values, slopes = evaluated(decoder, places)
    curves = zero_curves(values.reshape(NODES, NODES), EXTENT)
    closed = [curve for curve in curves if is_closed(curve)]
    truth, given = true_curve(name), sparse_points(name)[0]
    some = np.random.default_rng(0).choice(len(places), 1500, replace=False)
    own = np.sign(values[some]) * distance_to(curves, places[some])
    near = np.abs(own) < 0.1
    found = {
        "parts": len(curves),
        "open parts": len(curves) - len(closed),
        "length / true": sum(map(length, curves)) / length(truth),
        "turns / true": sum(map(turns, closed)) / turns(truth),
        "eikonal residual": rms(np.linalg.norm(slopes, axis=1) - 1),
        "steepest chord": steepest_chord(places[some], values[some]),
        "error to true distance": rms(values - true_distance(name)),
    }
    if curves:
        found |= {
            "error to own distance": rms(values[some] - own),
            "error to own distance, near": rms((values[some] - own)[near]),
            "given points off": float(distance_to(curves, given).max()),
            "curve off": float(distance_to([truth], np.concatenate(curves)).max()),
        }
    return values.reshape(NODES, NODES), found
