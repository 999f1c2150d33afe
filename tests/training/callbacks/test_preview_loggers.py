"""Loggers get pictures and meshes as far as they take them; one that fails ends nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from shapespace.training.callbacks.preview_loggers import log_meshes, log_picture, takes_meshes

BALL = trimesh.creation.icosphere(1)


class Writer:
    """A SummaryWriter of TensorBoard, which keeps what it is given."""

    def __init__(self):
        self.images, self.meshes = [], []

    def add_image(self, tag, image, step, dataformats):
        self.images.append((tag, image.shape, step, dataformats))

    def add_mesh(self, tag, vertices, faces, global_step):
        self.meshes.append((tag, vertices, faces, global_step))


class Wandb:
    """A WandbLogger of Lightning, which keeps what it is given."""

    def __init__(self):
        self.images, self.logged = [], []
        self.experiment = SimpleNamespace(log=self.logged.append)

    def log_image(self, key, images, step):
        self.images.append((key, images, step))


class Broken:
    def log_image(self, key, images, step):
        raise OSError("the server\nis gone")


def test_tensorboard_gets_pixels_and_triangles(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "epoch_00001.png"
    image.new("RGB", (5, 3)).save(path)
    logger = SimpleNamespace(experiment=Writer())
    csv = SimpleNamespace(experiment=object())
    assert takes_meshes([csv, logger]) and not takes_meshes([csv]) and not takes_meshes([])
    assert log_picture([csv, logger], path, 7) == []
    assert logger.experiment.images == [("previews", (3, 5, 3), 7, "HWC")]
    empty = trimesh.Trimesh()
    assert log_meshes([csv, logger], [BALL, empty], names=["a", "b"], folder=tmp_path, step=7) == []
    ((tag, vertices, faces, step),) = logger.experiment.meshes
    assert (tag, step) == ("meshes/a", 7)
    np.testing.assert_allclose(vertices[0], BALL.vertices, atol=1e-6)
    assert (faces[0] == BALL.faces).all()


def test_wandb_gets_files_and_one_that_fails_is_a_line(tmp_path):
    pytest.importorskip("wandb")
    logger, path = Wandb(), tmp_path / "epoch_00001.png"
    said = log_picture([Broken(), logger], path, 3)
    assert said == ["Broken: the server is gone"]
    assert logger.images == [("previews", [str(path)], 3)]
    assert log_meshes([logger], [BALL], names=["../a"], folder=tmp_path, step=3) == []
    (logged,) = logger.logged
    assert set(logged) == {"meshes/../a", "trainer/global_step"}
    (file,) = (tmp_path / "previews" / "meshes").iterdir()
    found = trimesh.load_mesh(file)
    assert len(found.faces) == len(BALL.faces)
