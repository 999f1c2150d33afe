"""What many tests share: a tiny store, a checkpoint trained on it, the folder of shared data."""

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from tests.shape_checks import FirstCalls

# Before the package is imported: its modules are given the decorator when they are.
jaxtyping.jaxtyped = CHECKS = FirstCalls(jaxtyping.jaxtyped)
ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "configs" / "toy.yaml"
RADII = {
    "ball": (1.0, 1.0, 1.0),
    "egg": (1.2, 0.9, 0.9),
    "lens": (1.0, 0.7, 1.0),
    "melon": (0.9, 0.9, 1.1),
}
"""Names and semi-axes of the ellipsoids of the toy store."""

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _check_the_first_calls():
    """Shapes are checked at the first calls of each function, in each test anew."""
    CHECKS.reset()


def ellipsoid(radii, count=600, seed=0):
    """Random points [K,3] of an axis-aligned ellipsoid about the origin, and its unit normals."""
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    normals = directions / np.array(radii)
    return directions * radii, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def write_toy_store(path, radii=RADII):
    """A store of one ellipsoid for each name, its centre moved by its row."""
    from shapespace.data.formats.readers import checked
    from shapespace.data.prepare.points import prepare_scan
    from shapespace.data.store.writer import StoreWriter

    with StoreWriter(path, "m", 3) as writer:
        for row, (name, axes) in enumerate(radii.items()):
            points, normals = ellipsoid(axes, seed=row)
            raw = checked(points + row, normals=normals)
            writer.add(prepare_scan(raw, name, source=f"{name}.ply", source_hash="0" * 64))
    return path


@pytest.fixture(scope="session")
def write_store():
    """``write_toy_store``: a path and, by name, semi-axes in, the path out."""
    return write_toy_store


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory):
    """Path of a store of four ellipsoids, 600 points each, with normals."""
    return write_toy_store(tmp_path_factory.mktemp("store") / "toy.hdf5")


@pytest.fixture(scope="session")
def toy_arguments(toy_store):
    """The command line of ``shapespace train`` for a quick run; the run folder is not in it."""
    return [
        f"--config={TOY}",
        f"--data.store={toy_store}",
        "--data.num_points=64",
        "--preview.every=1000000",
    ]


@pytest.fixture(scope="session")
def train(toy_arguments):
    """Train quickly in a folder for so many epochs, with more arguments: the path of last.ckpt."""
    from shapespace.training.cli import train

    def run(folder, epochs, *more):
        options = [f"--trainer.max_epochs={epochs}", f"--trainer.default_root_dir={folder}"]
        return train([*toy_arguments, *options, *more])

    return run


@pytest.fixture(scope="session")
def toy_checkpoint(train, tmp_path_factory):
    """Path of last.ckpt of a run of two epochs; not to be written to."""
    return train(tmp_path_factory.mktemp("toy") / "run", 2)


@pytest.fixture(scope="session")
def shared():
    """The folder ``shared`` beside the checkout; skips where there is none."""
    path = ROOT / ".." / "shared"
    if not path.is_dir():
        pytest.skip(f"no shared data at {path}")
    return path


def write_registrations(folder, sequences, num_vertices=162):
    """A D-FAUST registration file ``registrations_m.hdf5``: {sequence name: frames}."""
    import h5py
    import trimesh

    ball = trimesh.creation.icosphere(2)
    assert len(ball.vertices) == num_vertices
    folder.mkdir(parents=True)
    with h5py.File(folder / "registrations_m.hdf5", "w") as file:
        file["faces"] = ball.faces.astype("uint32")
        for row, (name, frames) in enumerate(sequences.items()):
            stretch = 0.5 + 0.1 * row + 0.002 * np.arange(frames)
            file[name] = (ball.vertices[:, :, None] * stretch).astype("f4")
    return folder
