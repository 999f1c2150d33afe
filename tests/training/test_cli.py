"""A run folder, and a run that is resumed as if it had never stopped."""

import csv
import shutil

import pytest
import torch
import yaml

from shapespace.checkpoint import CHECKPOINT, read_checkpoint
from shapespace.errors import InputError
from shapespace.space import TrainedSpace
from shapespace.training.cli import train
from shapespace.training.statistics import METRICS, read_metrics


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """Four epochs at once."""
    return train(tmp_path_factory.mktemp("whole") / "run", 4)


def assert_equal(left, right):
    """Nested plain data and tensors, bit for bit."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    else:
        assert left == right


def assert_same_run(left, right):
    before, after = read_checkpoint(left), read_checkpoint(right)
    for part in ("state_dict", "optimizer_states", "global_step", "hyper_parameters", "shapespace"):
        assert_equal(before[part], after[part])
    rows = [read_metrics(path.with_name(METRICS)) for path in (left, right)]
    for row in [*rows[0], *rows[1]]:
        del row["seconds"]
    assert rows[0] == rows[1]


def test_a_run_folder_holds_everything(toy_checkpoint, toy_store):
    folder = toy_checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "config.yaml",
        CHECKPOINT,
        METRICS,
    ]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["store"] == str(toy_store)
    assert config["model"]["decoder"]["init_args"]["depth"] == 4
    rows = list(csv.DictReader((folder / METRICS).open(newline="")))
    assert [(row["epoch"], row["step"]) for row in rows] == [("0", "2"), ("1", "4")]
    assert {"seconds", "loss", "surface", "normal", "eikonal", "latent", "lr"} <= rows[0].keys()
    assert all(float(value) >= 0 for row in rows for value in row.values())


def test_the_config_in_the_run_folder_repeats_the_run(toy_checkpoint, tmp_path):
    config = toy_checkpoint.with_name("config.yaml")
    again = train([f"--config={config}", f"--trainer.default_root_dir={tmp_path / 'run'}"])
    assert_same_run(toy_checkpoint, again)


def test_codes_of_all_scans_moved(toy_checkpoint):
    codes = TrainedSpace.load(toy_checkpoint).codes.table.weight
    assert codes.shape == (4, 8) and (codes.norm(dim=1) > 0).all()


def test_two_epochs_and_two_more_equal_four(train, whole, tmp_path):
    folder = tmp_path / "run"
    train(folder, 2)
    assert_same_run(whole, train(folder, 4))


def test_a_resume_from_the_middle_repeats_the_rest(train, whole, tmp_path):
    folder, kept = tmp_path / "run", tmp_path / "kept.ckpt"
    checkpoint = train(folder, 2, "--checkpoint.every=1")
    shutil.copy(checkpoint, kept)
    train(folder, 4, "--checkpoint.every=1")
    assert len(read_metrics(folder / METRICS)) == 4
    shutil.copy(kept, checkpoint)
    assert_same_run(whole, train(folder, 4, "--checkpoint.every=1"))


def test_a_finished_run_stays_as_it_is(train, whole, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "run")
    assert_same_run(whole, train(tmp_path / "run", 4))


def test_the_seed_matters(train, whole, tmp_path):
    other = TrainedSpace.load(train(tmp_path / "run", 1, "--seed_everything=1"))
    assert not torch.equal(other.codes.table.weight, TrainedSpace.load(whole).codes.table.weight)


@pytest.mark.parametrize("names", ["same number", "fewer"])
def test_a_resume_with_other_scans_is_refused(names, train, whole, write_store, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "run")
    keep = {"same number": "abcd", "fewer": "abc"}[names]
    store = write_store(tmp_path / "other.hdf5", dict.fromkeys(keep, (1.0, 1.0, 1.0)))
    before = (tmp_path / "run" / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match=r"last\.ckpt: the run was trained on other scans"):
        train(tmp_path / "run", 5, f"--data.store={store}")
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == before


def test_a_resume_with_another_model_is_refused(train, whole, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "run")
    with pytest.raises(InputError, match=r"last\.ckpt: is of another model"):
        train(tmp_path / "run", 5, "--model.decoder.width=32")


def test_a_foreign_checkpoint_in_the_run_folder_is_refused(train, tmp_path):
    (tmp_path / "run").mkdir()
    torch.save({"weights": 1}, tmp_path / "run" / CHECKPOINT)
    with pytest.raises(InputError, match=r"last\.ckpt: is not a shapespace checkpoint"):
        train(tmp_path / "run", 1)


def test_part_of_a_store(train, tmp_path):
    split = tmp_path / "train.txt"
    split.write_text("melon\nball\n")
    space = TrainedSpace.load(train(tmp_path / "run", 1, f"--data.scans={split}"))
    assert space.names == ("melon", "ball")


def test_code_length_zero_is_the_same_path(train, tmp_path):
    space = TrainedSpace.load(train(tmp_path / "run", 1, "--model.decoder.latent_size=0"))
    assert space.codes.table.weight.shape == (4, 0)


def test_chunks_change_nothing(train, tmp_path):
    one = TrainedSpace.load(train(tmp_path / "one", 1))
    two = TrainedSpace.load(train(tmp_path / "two", 1, "--model.points_per_chunk=1"))
    for left, right in zip(one.decoder.parameters(), two.decoder.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_an_interruption_is_one(train, monkeypatch, tmp_path):
    from shapespace.training.module import ShapeSpace

    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(ShapeSpace, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", 1)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_nothing_of_lightning_is_on_the_screen(train, tmp_path, capfd, recwarn):
    train(tmp_path / "run", 1)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert not any(word in captured.err for word in ("weights_only", "Seed set", "LeafSpec", "tip"))
    shown = [str(w.message) for w in recwarn if not issubclass(w.category, DeprecationWarning)]
    assert shown == []


MUON = ("--model.optimiser=muon", "--model.schedule=cosine", "--model.warm_up=0.3")


def test_muon_and_a_cosine_go_on_after_an_interruption_as_if_nothing_had_been(
    train, monkeypatch, tmp_path
):
    from shapespace.training.module import ShapeSpace

    options = [*MUON, "--checkpoint.every=1"]
    whole = train(tmp_path / "whole", 4, *options)
    rates = [float(row["lr"]) for row in read_metrics(whole.with_name(METRICS))]
    assert rates[-1] < rates[2] < rates[1]
    step = ShapeSpace.training_step

    def interrupted(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        step(self, batch, batch_idx)

    monkeypatch.setattr(ShapeSpace, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", 4, *options)
    monkeypatch.undo()
    assert_same_run(whole, train(tmp_path / "run", 4, *options))
    (adam, muon, codes) = read_checkpoint(whole)["optimizer_states"]
    assert len(adam["state"]) + len(muon["state"]) == 10 and len(codes["state"]) == 1


def test_a_cosine_without_an_end_is_refused(train, tmp_path):
    with pytest.raises(InputError, match=r"schedule=cosine ends with the run.*max_epochs=-1"):
        train(tmp_path / "run", -1, *MUON)


def test_a_run_folder_belongs_to_one_training(train, monkeypatch, tmp_path):
    from shapespace.training.module import ShapeSpace

    def second(self, batch, batch_idx):
        train(tmp_path / "run", 1)

    monkeypatch.setattr(ShapeSpace, "training_step", second)
    with pytest.raises(InputError, match="another training runs in this folder"):
        train(tmp_path / "run", 1)


def test_codes_of_another_optimiser_are_refused(train, whole, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "run")
    for option in ("--model.code_optimiser=dense", "--model.optimiser=muon"):
        with pytest.raises(InputError, match=r"last\.ckpt: .* moved by another optimiser"):
            train(tmp_path / "run", 5, option)


def test_a_training_without_a_step_is_refused(train, tmp_path):
    from shapespace.training import batches as steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "world", lambda: (0, 2))
        with pytest.raises(InputError, match=r"drop_last leaves no step of 4 scans"):
            train(tmp_path / "run", 1, "--data.batch_size=4", "--data.drop_last=true")


def test_plugins_of_the_user_are_kept(train, monkeypatch, tmp_path):
    from shapespace.training.module import ShapeSpace

    seen = []
    keep = lambda self: seen.append(type(self.trainer.precision_plugin).__name__)  # noqa: E731
    monkeypatch.setattr(ShapeSpace, "on_train_epoch_start", keep)
    train(tmp_path / "run", 1, "--trainer.plugins={class_path: tests.parts.OwnPrecision}")
    assert seen == ["OwnPrecision"]


def test_links_in_a_run_folder_are_replaced_or_refused(train, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    (elsewhere / "previews").mkdir(parents=True)
    (elsewhere / "config.yaml").write_text("kept")
    for name in ("config.yaml", "previews"):
        (run / name).symlink_to(elsewhere / name)
    with pytest.warns(UserWarning, match="previews: is a symbolic link"):
        train(run, 1, "--preview.every=1")
    assert (elsewhere / "config.yaml").read_text() == "kept"
    assert list((elsewhere / "previews").iterdir()) == []
    assert not (run / "config.yaml").is_symlink()
    (run / METRICS).unlink()
    (run / METRICS).symlink_to(elsewhere / "config.yaml")
    with pytest.raises(InputError, match=r"metrics\.csv: is not the table"):
        train(run, 2)
    assert (elsewhere / "config.yaml").read_text() == "kept"
