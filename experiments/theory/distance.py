"""Is a field the signed distance to its own zero set? In 1-D and 2-D; and zero sets measured.

The surface of a field is where its sign changes: a field that only touches zero, such as an
unsigned distance, has none. Letters: K points, S segments, D dimension.
"""

import numpy as np


def sign_changes(x, values):
    """Where the sign of the values on the ascending grid x [K] changes, linearly interpolated."""
    i = np.flatnonzero((values[:-1] < 0) != (values[1:] < 0))
    part = values[i] / (values[i] - values[i + 1])
    return x[i] + part * (x[i + 1] - x[i])


def distance_error_1d(x, values):
    """Largest |f - signed distance to the sign changes of f| on a grid; inf without any."""
    zeros = sign_changes(x, values)
    if not len(zeros):
        return np.inf
    distance = np.abs(x[:, None] - zeros).min(1)
    return float(np.abs(values - np.where(values < 0, -distance, distance)).max())


def steepest_chord(points, values):
    """Largest (f(x) - f(y)) / |x - y| over all pairs of points [K,D]: 1 at most for a distance."""
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(((values[:, None] - values) / apart).max())


def zero_curves(values, extent):
    """Polylines [K,2] of the zero set; values [R,R] on [-extent, extent]^2, rows along y."""
    from matplotlib.figure import Figure

    axis = np.linspace(-extent, extent, len(values))
    if values.min() > 0 or values.max() < 0:
        return []
    lines = Figure().subplots().contour(axis, axis, values, [0.0]).allsegs[0]
    return [np.asarray(line) for line in lines if len(line) > 2]


def is_closed(curve):
    return bool(np.linalg.norm(curve[0] - curve[-1]) < 1e-6)


def length(curve):
    return float(np.linalg.norm(np.diff(curve, axis=0), axis=1).sum())


def turns(curve, spacing=0.05):
    """Integral of |curvature| over 2 pi of a closed curve, of chords about so long: 1 if convex."""
    edges = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(edges)])
    count = max(3, round(along[-1] / spacing))
    at = np.linspace(0, along[-1], count, endpoint=False)
    even = np.stack([np.interp(at, along, curve[:, k]) for k in (0, 1)], 1)
    chord = np.roll(even, -1, axis=0) - even
    angle = np.unwrap(np.arctan2(chord[:, 1], chord[:, 0]))
    change = np.diff(np.append(angle, angle[0]))
    return float(np.abs((change + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi))


def distance_to(curves, points, rows=512):
    """Exact unsigned distance of points [K,2] to the segments of polylines; inf without any."""
    if not curves:
        return np.full(len(points), np.inf)
    start = np.concatenate([curve[:-1] for curve in curves])
    edge = np.concatenate([np.diff(curve, axis=0) for curve in curves])
    square = np.maximum((edge**2).sum(1), 1e-300)
    nearest = []
    for first in range(0, len(points), rows):
        away = points[first : first + rows, None] - start
        part = ((away * edge).sum(-1) / square).clip(0, 1)
        nearest.append(((away - part[..., None] * edge) ** 2).sum(-1).min(1))
    return np.sqrt(np.concatenate(nearest))
