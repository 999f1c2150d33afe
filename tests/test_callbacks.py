"""What a run leaves behind survives an interruption and tells the truth."""

import math
from typing import ClassVar

import pytest
import pytorch_lightning as pl

from shapespace import preview
from shapespace.callbacks import METRICS, KeepCheckpoint, MetricsFile, Preview, read_metrics
from shapespace.errors import InputError
from shapespace.module import ShapeSpace
from shapespace.space import TrainedSpace

pytestmark = pytest.mark.filterwarnings("ignore:Attribute 'decoder'")


class FakeTrainer(pl.Trainer):
    """Counts epochs and writes its epoch where it should save a checkpoint."""

    default_root_dir = ""
    current_epoch = 0
    global_step = 0
    interrupted = False
    is_global_zero = True
    callback_metrics: ClassVar = {"loss": 0.5}

    def __init__(self, folder):
        self.default_root_dir = str(folder)

    def save_checkpoint(self, filepath, **_):
        filepath.write_text(str(self.current_epoch))


@pytest.fixture
def trainer(tmp_path):
    return FakeTrainer(tmp_path)


@pytest.fixture
def module(toy_checkpoint):
    space = TrainedSpace.load(toy_checkpoint)
    module = ShapeSpace(space.decoder, space.objective, space.sampler, num_scans=4)
    module.codes = space.codes
    return module


def run(callback, trainer, module, epochs):
    for epoch in epochs:
        trainer.current_epoch, trainer.global_step = epoch, epoch + 1
        callback.on_train_epoch_end(trainer, module)


@pytest.mark.parametrize(("every", "saved"), [(1, "6"), (3, "5"), (10, None)])
def test_a_checkpoint_every_so_often(every, saved, trainer, module, tmp_path):
    run(KeepCheckpoint(every), trainer, module, range(7))
    path = tmp_path / "last.ckpt"
    assert (path.read_text() if path.exists() else None) == saved
    assert [found for found in tmp_path.iterdir() if found != path] == []


def test_the_end_is_saved_once(trainer, module, tmp_path):
    callback = KeepCheckpoint(2)
    run(callback, trainer, module, range(3))
    trainer.current_epoch = 3
    callback.on_train_end(trainer, module)
    assert (tmp_path / "last.ckpt").read_text() == "3"
    (tmp_path / "last.ckpt").unlink()
    callback.on_train_end(trainer, module)
    assert not (tmp_path / "last.ckpt").exists()


def test_an_interrupted_epoch_is_not_saved(trainer, module, tmp_path):
    trainer.interrupted = True
    KeepCheckpoint(1).on_train_end(trainer, module)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(trainer, module, tmp_path):
    def full(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    run(KeepCheckpoint(1), trainer, module, range(1))
    trainer.save_checkpoint = full
    with pytest.raises(InputError, match=r"last\.ckpt: cannot be written \(No space left"):
        run(KeepCheckpoint(1), trainer, module, range(1, 2))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("last.ckpt", "0")]


def test_metrics_go_on_after_the_checkpoint(trainer, module, tmp_path):
    first = MetricsFile()
    first.on_train_start(trainer, module)
    run(first, trainer, module, range(4))
    trainer.current_epoch = 2
    second = MetricsFile()
    second.on_train_start(trainer, module)
    assert [row["epoch"] for row in read_metrics(tmp_path / METRICS)] == ["0", "1"]
    run(second, trainer, module, range(2, 5))
    rows = read_metrics(tmp_path / METRICS)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_other_ranks_write_nothing(trainer, module, tmp_path):
    trainer.is_global_zero = False
    metrics = MetricsFile()
    metrics.on_train_start(trainer, module)
    run(metrics, trainer, module, range(2))
    run(Preview(1), trainer, module, range(2))
    assert list(tmp_path.iterdir()) == []


def test_a_torn_row_is_no_row(tmp_path):
    path = tmp_path / METRICS
    path.write_text("epoch,step,loss\n0,1,0.5\n1,2,0.4\n2,3\n")
    assert [row["loss"] for row in read_metrics(path)] == ["0.5", "0.4"]
    path.write_text("epoch,step,loss\n")
    assert read_metrics(path) == read_metrics(tmp_path / "none.csv") == []


def test_a_nan_is_written_as_one(trainer, module, tmp_path):
    trainer.callback_metrics = {"loss": math.nan}
    run(MetricsFile(), trainer, module, range(1))
    assert read_metrics(tmp_path / METRICS)[0]["loss"] == "nan"


def test_a_picture_every_so_often(trainer, module, tmp_path):
    pytest.importorskip("matplotlib")
    run(Preview(every=3, num_shapes=1, height=24), trainer, module, range(5))
    (path,) = (tmp_path / "previews").iterdir()
    assert path.name == "epoch_00003.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_stops_nothing(trainer, module, monkeypatch):
    def refuse(*arguments):
        tried.append(arguments)
        raise InputError("no pen")

    tried = []
    monkeypatch.setattr(preview, "draw_codes", refuse)
    callback = Preview(every=1)
    with pytest.warns(UserWarning, match="no preview: no pen"):
        run(callback, trainer, module, range(4))
    assert len(tried) == 1


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_diverged_training_stops_and_keeps_the_checkpoint_from_before(tmp_path, loss):
    trainer, keep = FakeTrainer(tmp_path), KeepCheckpoint(every=1)
    keep.on_train_epoch_end(trainer, pl.LightningModule())
    before = (tmp_path / "last.ckpt").read_bytes()
    trainer.current_epoch, trainer.callback_metrics = 1, {"loss": loss}
    with pytest.raises(InputError, match=r"the loss is (nan|inf) in epoch 2: lower model\.lr"):
        keep.on_train_epoch_end(trainer, pl.LightningModule())
    assert (tmp_path / "last.ckpt").read_bytes() == before
