"""Writers of small files of points, so that readers are not tested against their own kind."""

import io
import tempfile
from pathlib import Path

import numpy as np


def sphere(count=2000, seed=0):
    """Random points [N,3] of an egg off the origin, and their outward unit normals."""
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    radii = np.array([1.0, 0.7, 1.3])
    points = normals * radii + [0.3, -0.2, 0.1]
    normals = normals / radii
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def pcd(fields, rows, encoding, counts=None, viewpoint="0 0 0 1 0 0 0", newline="\n"):
    """A PCD file: ``fields`` are names and NumPy types; rows have a column for each number."""
    counts = counts or [1] * len(fields)
    kinds = [np.dtype(kind) for _, kind in fields]
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(name for name, _ in fields),
        "SIZE " + " ".join(str(kind.itemsize) for kind in kinds),
        "TYPE " + " ".join(kind.kind.upper() for kind in kinds),
        "COUNT " + " ".join(map(str, counts)),
        f"WIDTH {len(rows)}",
        "HEIGHT 1",
        f"VIEWPOINT {viewpoint}",
        f"POINTS {len(rows)}",
        f"DATA {encoding}",
        "",
    ]
    head = newline.join(lines).encode()
    if encoding == "ascii":
        return (
            head + newline.join([*(" ".join(map(repr, row)) for row in rows.tolist()), ""]).encode()
        )
    table = np.zeros(
        len(rows), [(f"{i}", k, (n,)) for i, (k, n) in enumerate(zip(kinds, counts, strict=True))]
    )
    at = 0
    for i, n in enumerate(counts):
        table[f"{i}"] = rows[:, at : at + n]
        at += n
    if encoding == "binary":
        return head + table.tobytes()
    body = b"".join(np.ascontiguousarray(table[f"{i}"]).tobytes() for i in range(len(fields)))
    packed = lzf(body)
    return head + np.array([len(packed), len(body)], "<u4").tobytes() + packed


def lzf(data):
    """Pack bytes as liblzf does: literal runs of up to 32, references of up to 264 bytes."""
    out, literal, seen, at = bytearray(), bytearray(), {}, 0

    def flush():
        for start in range(0, len(literal), 32):
            run = literal[start : start + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literal.clear()

    while at < len(data):
        key = data[at : at + 3]
        back = seen.get(key, -1)
        seen[key] = at
        if len(key) == 3 and back >= 0 and at - back <= 8192:
            length = 3
            while (
                length < 264
                and at + length < len(data)
                and data[at + length] == data[back + length]
            ):
                length += 1
            flush()
            distance, size = at - back - 1, length - 2
            if size < 7:
                out.append(size << 5 | distance >> 8)
            else:
                out.extend([7 << 5 | distance >> 8, size - 7])
            out.append(distance & 255)
            at += length
        else:
            literal.append(data[at])
            at += 1
    flush()
    return bytes(out)


def las(points, compress=False, more=()):
    """A LAS or LAZ file; ``more`` gives extra dimensions by name and column."""
    import laspy

    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales, header.offsets = np.full(3, 1e-6), points.mean(axis=0)
    for name, _ in more:
        header.add_extra_dim(laspy.ExtraBytesParams(name, np.float64))
    data = laspy.LasData(header)
    data.x, data.y, data.z = points.T
    data.intensity = np.arange(len(points)) % 100
    for name, column in more:
        data[name] = column
    file = io.BytesIO()
    data.write(file, do_compress=compress)
    return file.getvalue()


def laz(points):
    """A LAZ file."""
    return las(points, compress=True)


def e57(points, scans=1, translation=(0.0, 0.0, 0.0), **more):
    """An E57 file: the points in equal parts, each in a frame that is moved by ``translation``."""
    import pye57

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.e57"
        with pye57.E57(str(path), mode="w") as file:
            for rows in np.array_split(np.arange(len(points)), scans):
                local = points[rows] - translation
                data = {f"cartesian{axis}": local[:, i] for i, axis in enumerate("XYZ")}
                data |= {name: column[rows] for name, column in more.items()}
                file.write_scan_raw(
                    data, rotation=np.array([1.0, 0, 0, 0]), translation=np.array(translation)
                )
        return path.read_bytes()
