"""Never a prompt, never a stop of training; no test reaches a network."""

import csv
import sys
import types

import pytest

from shapespace.training import wandb_logger as wandb_log
from shapespace.training.wandb_logger import resolve_mode, wandb_logger


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


class FakeLogger:
    """Stands for WandbLogger: remembers what it was asked for and fails for ``failing`` modes."""

    failing = ()
    made: list = []  # noqa: RUF012

    def __init__(self, **options):
        self.options = options
        self.made.append(options)

    @property
    def experiment(self):
        if self.options["mode"] in self.failing:
            raise RuntimeError(f"no {self.options['mode']}\nat all")
        url = "https://wandb.ai/a/b" if self.options["mode"] == "online" else None
        return types.SimpleNamespace(url=url)


@pytest.fixture
def fake(monkeypatch):
    from pytorch_lightning import loggers

    monkeypatch.setattr(FakeLogger, "made", [])
    monkeypatch.setattr(loggers, "WandbLogger", FakeLogger)
    module = types.ModuleType("wandb")
    module.Settings = lambda **options: options
    monkeypatch.setitem(sys.modules, "wandb", module)
    return FakeLogger


@pytest.mark.parametrize("mode", ["auto", "online", "offline"])
def test_without_a_key_it_is_offline(mode):
    assert resolve_mode(mode) == "offline"


def test_with_a_key_it_is_online_but_on_request(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert [resolve_mode(mode) for mode in ("auto", "online", "offline")] == [
        *("online", "online", "offline"),
    ]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"
    assert resolve_mode("online") == "online"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("machine api.wandb.ai login user password x\n", "online"),
        ("machine other.org login user password x\n", "offline"),
        ("machine nonsense\n", "offline"),
    ],
)
def test_the_key_may_lie_in_netrc(text, mode, tmp_path):
    (tmp_path / ".netrc").write_text(text)
    (tmp_path / ".netrc").chmod(0o600)
    assert resolve_mode("auto") == mode


def test_a_key_of_another_host(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine wandb.lab login user password x\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.lab:8080")
    assert resolve_mode("auto") == "online"


def test_online_that_fails_becomes_offline(fake, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fake, "failing", ("online",))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    logger = wandb_logger(tmp_path, "online")
    assert logger.options["mode"] == "offline"
    assert [options["mode"] for options in fake.made] == ["online", "offline"]
    assert capsys.readouterr().err == (
        "wandb online failed (no online at all), trying offline\n"
        f"wandb offline: kept in {tmp_path / 'wandb'}; wandb sync sends it later\n"
    )


def test_wandb_that_fails_stops_nothing(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(fake, "failing", ("offline",))
    assert wandb_logger(tmp_path, "auto") is False


def test_wandb_that_is_broken_stops_nothing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert wandb_logger(tmp_path, "auto") is False


def test_a_run_is_known_by_its_folder(fake, tmp_path):
    for folder in (tmp_path / "a" / "run", tmp_path / "a" / "run", tmp_path / "b" / "run"):
        wandb_logger(folder, "auto")
    first, again, other = (options["id"] for options in fake.made)
    assert first == again != other


def test_the_project_is_that_of_the_environment_and_the_place_is_said(
    fake, monkeypatch, tmp_path, capsys
):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb_logger(tmp_path, "online")
    monkeypatch.setenv("WANDB_PROJECT", "bodies")
    wandb_logger(tmp_path, "online")
    assert [options["project"] for options in fake.made] == ["shapespace", "bodies"]
    assert capsys.readouterr().err == 2 * "wandb online: https://wandb.ai/a/b\n"


def test_modes_are_those_of_the_command_line():
    assert set(wandb_log.Mode.__args__) == {"auto", "online", "offline"}


def test_a_logger_of_lightning_gets_the_losses(train, tmp_path):
    logger = "pytorch_lightning.loggers.CSVLogger"
    options = (f"--trainer.logger={logger}", f"--trainer.logger.save_dir={tmp_path / 'log'}")
    train(tmp_path / "run", 2, *options)
    (written,) = (tmp_path / "log").rglob("metrics.csv")
    rows = list(csv.DictReader(written.open()))
    assert [row["epoch"] for row in rows] == ["0", "1"] and float(rows[1]["loss"]) > 0
