"""What a run leaves behind survives an interruption and tells the truth."""

import math
import os
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl

from shapespace.errors import InputError
from shapespace.rendering import previews as preview
from shapespace.space import TrainedSpace
from shapespace.training.callbacks import logging
from shapespace.training.callbacks.logging import MetricsFile, Preview
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, EpochMeans, read_metrics
from tests.training.callbacks.test_preview_loggers import Writer

pytestmark = pytest.mark.filterwarnings("ignore:Attribute 'decoder'")


class FakeTrainer(pl.Trainer):
    """Counts epochs and writes its epoch where it should save a checkpoint."""

    default_root_dir = ""
    current_epoch = 0
    global_step = 0
    is_global_zero = True
    loggers = ()

    def __init__(self, folder):
        self.default_root_dir = str(folder)


@pytest.fixture
def trainer(tmp_path):
    return FakeTrainer(tmp_path)


@pytest.fixture
def module(toy_checkpoint):
    space = TrainedSpace.load(toy_checkpoint)
    module = ShapeSpace(space.decoder, space.objective, space.sampler, num_scans=4)
    module.codes = space.codes
    module.means = EpochMeans({"loss": 1.0}, 2)
    return module


def run(callback, trainer, module, epochs):
    for epoch in epochs:
        trainer.current_epoch, trainer.global_step = epoch, epoch + 1
        callback.on_train_epoch_end(trainer, module)


def test_metrics_go_on_after_the_checkpoint(trainer, module, tmp_path):
    first = MetricsFile()
    first.on_train_start(trainer, module)
    run(first, trainer, module, range(4))
    trainer.current_epoch = trainer.global_step = 2
    second = MetricsFile()
    second.on_train_start(trainer, module)
    assert [row["epoch"] for row in read_metrics(tmp_path / METRICS)] == ["0", "1"]
    run(second, trainer, module, range(2, 5))
    rows = read_metrics(tmp_path / METRICS)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_terms_that_are_new_after_a_resume_get_a_column(trainer, module, tmp_path):
    run(MetricsFile(), trainer, module, range(1))
    module.means = EpochMeans({"loss": 1.0, "outside": 0.5}, 2)
    trainer.current_epoch = 1
    second = MetricsFile()
    second.on_train_start(trainer, module)
    run(second, trainer, module, range(1, 3))
    rows = read_metrics(tmp_path / METRICS)
    assert [row["outside"] for row in rows] == ["", "0.25", "0.25"]
    assert [row["loss"] for row in rows] == ["0.5"] * 3


def test_seconds_go_on_counting(trainer, module, tmp_path):
    first, second = MetricsFile(), MetricsFile()
    first.load_state_dict({"seconds": 100.0})
    second.load_state_dict(first.state_dict())
    second.on_train_start(trainer, module)
    run(second, trainer, module, range(1))
    assert 100 <= float(read_metrics(tmp_path / METRICS)[0]["seconds"]) < 110


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
    module.means = EpochMeans({"loss": math.nan}, 1)
    run(MetricsFile(), trainer, module, range(1))
    assert read_metrics(tmp_path / METRICS)[0]["loss"] == "nan"


def test_a_picture_every_so_often(trainer, module, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("embreex")
    run(Preview(every=3, num_shapes=1, height=24), trainer, module, range(5))
    (path,) = (tmp_path / "previews").iterdir()
    assert path.name == "epoch_00003.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_loggers_get_picture_and_meshes(trainer, module, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("embreex")
    trainer.loggers = [SimpleNamespace(experiment=Writer())]
    run(Preview(every=1, num_shapes=2, height=24), trainer, module, range(1))
    writer = trainer.loggers[0].experiment
    assert [(tag, step) for tag, _, step, _ in writer.images] == [("previews", 1)]
    assert [tag for tag, *_ in writer.meshes] == [
        f"meshes/{module.codes.names[row]}" for row in (0, 3)
    ]


def test_a_picture_that_cannot_be_drawn_stops_nothing(trainer, module, monkeypatch):
    def refuse(*arguments, **options):
        tried.append(arguments)
        raise InputError("no pen")

    tried = []
    monkeypatch.setattr(preview, "draw_codes", refuse)
    callback = Preview(every=1)
    with pytest.warns(UserWarning, match="no preview: no pen"):
        run(callback, trainer, module, range(4))
    assert len(tried) == 1


def test_rows_that_cannot_be_written_wait(trainer, module, tmp_path):
    metrics = MetricsFile()
    metrics.on_train_start(trainer, module)
    run(metrics, trainer, module, [0])
    kept = (tmp_path / METRICS).read_bytes()
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).mkdir()
    with pytest.warns(UserWarning, match=r"metrics\.csv is not written, the training goes on"):
        run(metrics, trainer, module, [1, 2])
    (tmp_path / METRICS).rmdir()
    (tmp_path / METRICS).write_bytes(kept)
    run(metrics, trainer, module, [3])
    assert [row["epoch"] for row in read_metrics(tmp_path / METRICS)] == ["0", "1", "2", "3"]


def test_a_row_is_on_the_disk_at_the_end_of_its_epoch(trainer, module, tmp_path, monkeypatch):
    metrics = MetricsFile()
    metrics.on_train_start(trainer, module)
    run(metrics, trainer, module, [0])
    synced = []
    monkeypatch.setattr(logging.os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    run(metrics, trainer, module, [1])
    assert synced == [(tmp_path / METRICS).stat().st_size]


def test_a_table_of_something_else_is_refused(trainer, module, tmp_path):
    for text in ("epoch,step\nx,y\n", "a,b\n1,2\n", "epoch,step\n\x00,1\n"):
        (tmp_path / METRICS).write_text(text)
        with pytest.raises(InputError, match=r"metrics\.csv: is not the table of an earlier"):
            MetricsFile().on_train_start(trainer, module)


def test_a_config_that_cannot_be_written_is_a_warning(train, tmp_path):
    (tmp_path / "run/config.yaml").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"config\.yaml: cannot be written .* goes on without it"):
        assert train(tmp_path / "run", 1).exists()
