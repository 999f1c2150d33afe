"""Logging to Weights & Biases, if asked for; it never prompts and never ends a training."""

import hashlib
import netrc
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlparse

from shapespace.errors import one_line

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger
Mode = Literal["auto", "online", "offline"]


def resolve_mode(mode: Mode) -> str:
    """Return the mode that wandb is started in.

    "auto" becomes the variable WANDB_MODE if it is set, else "online". "online" without an API key
    becomes "offline".
    """
    wanted = os.environ.get("WANDB_MODE", "online") if mode == "auto" else mode
    return "offline" if wanted == "online" and not _has_key() else wanted


def _has_key() -> bool:
    """Return whether wandb would find an API key, in the environment or in ~/.netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


# The end of the message after a failure, by mode that failed.
_NEXT = defaultdict(lambda: "trying offline", offline="training goes on without it")


def wandb_logger(folder: Path, mode: Mode) -> "WandbLogger | bool":
    """Return a logger for the run in ``folder``, or False if wandb fails.

    A resumed run goes on with its wandb run, whose id follows from the path of the folder. If
    wandb cannot be reached within 30 s, the logger is offline. Without an API key the logger is
    offline too, because wandb would prompt for a key. The project is WANDB_PROJECT, by default
    shapespace; wandb itself reads WANDB_ENTITY, WANDB_RUN_GROUP and WANDB_TAGS. A line on standard
    error says where the run is.
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
        project=os.environ.get("WANDB_PROJECT", "shapespace"),
        mode=mode,
        settings=wandb.Settings(init_timeout=30, silent=True),
    )
    run = logger.experiment
    where = getattr(run, "url", None) or f"kept in {folder / 'wandb'}; wandb sync sends it later"
    sys.stderr.write(f"wandb {mode}: {one_line(where)}\n")
    return logger


def log_glb_files(logger: "WandbLogger", files: Mapping[str, Path], step: int) -> None:
    """Send meshes to wandb, which shows them to turn.

    Args:
        logger: of the run.
        files: GLB files by the names of their shapes.
        step: of the training.
    """
    import wandb

    shown = {f"meshes/{name}": wandb.Object3D(str(file)) for name, file in files.items()}
    logger.experiment.log({**shown, "trainer/global_step": step})
