"""Weights & Biases on request: never a prompt, never a stop of training."""

import hashlib
import netrc
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlparse

from shapespace.errors import one_line

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger
Mode = Literal["auto", "online", "offline"]


def resolve_mode(mode: Mode) -> str:
    """``auto`` becomes WANDB_MODE if set, else online; online without a key becomes offline."""
    wanted = os.environ.get("WANDB_MODE", "online") if mode == "auto" else mode
    return "offline" if wanted == "online" and not _has_key() else wanted


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


_NEXT = defaultdict(lambda: "trying offline", offline="training goes on without it")


def wandb_logger(folder: Path, mode: Mode) -> "WandbLogger | bool":
    """A logger of the run in ``folder``, the same run after a resume; False if wandb fails.

    Online that cannot be reached within 30 s becomes offline, and so does online without a key:
    wandb would ask for one.
    """
    wanted = resolve_mode(mode)
    for attempt in dict.fromkeys((wanted, "offline")):
        try:
            return _start(folder, attempt)
        except Exception as error:
            reason = one_line(error, 200)
            sys.stderr.write(f"wandb {attempt} failed ({reason}), {_NEXT[attempt]}\n")
    return False


def _start(folder: Path, mode: str) -> "WandbLogger":
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    logger = WandbLogger(
        name=folder.name,
        id=f"{folder.resolve().name}-{digest[:8]}",
        save_dir=folder,
        project="shapespace",
        mode=mode,
        settings=wandb.Settings(init_timeout=30, silent=True),
    )
    _ = logger.experiment
    return logger
