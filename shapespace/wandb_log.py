"""Weights & Biases on request: never a prompt, never a stop of training."""

import logging
import netrc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

Mode = Literal["auto", "online", "offline"]
_log = logging.getLogger(__name__)


def resolve_mode(mode: Mode) -> str:
    """``auto`` becomes WANDB_MODE if set, online with a key, else offline."""
    if mode != "auto":
        return mode
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    return "online" if _has_key() else "offline"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(folder: Path, mode: Mode) -> "WandbLogger | bool":
    """A logger of the run in ``folder``, the same run after a resume; False if wandb fails.

    Online that cannot be reached within 30 s becomes offline.
    """
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    wanted = resolve_mode(mode)
    settings = wandb.Settings(init_timeout=30, silent=True)
    for attempt in dict.fromkeys((wanted, "offline")):
        try:
            logger = WandbLogger(
                name=folder.name,
                id=folder.name,
                save_dir=folder,
                project="shapespace",
                mode=attempt,
                settings=settings,
            )
            _ = logger.experiment
            return logger
        except Exception as error:
            _log.warning("wandb %s failed (%s)", attempt, error)
            sys.stderr.write(f"wandb {attempt} failed, training goes on without it\n")
    return False
