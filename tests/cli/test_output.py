"""Nothing that a terminal would act on is written to it."""

import numpy as np
import torch

from shapespace.checkpoint import SCANS, read_checkpoint
from shapespace.cli.main import main
from shapespace.cli.output import say, say_line


def test_characters_are_shown_escaped(capsys):
    say("a\x1b[31m ± é\nb\u202e\r")
    say_line("c\nd")
    assert capsys.readouterr().out == "a\\x1b[31m ± é\nb\\u202e\\r\nc\\nd\n"


def test_names_of_files_and_scans_are_shown_escaped(toy_checkpoint, tmp_path, capsys):
    content = read_checkpoint(toy_checkpoint)
    content["state_dict"][SCANS]["names"][:2] = ["a\x1b[31m", "b\u202e"]
    torch.save(content, tmp_path / "odd.ckpt")
    main(["info", str(tmp_path / "odd.ckpt"), "--names"])
    for name in ("c\x1b[31m\nd.xyz", "e.xyz"):
        np.savetxt(tmp_path / name, np.random.default_rng(0).normal(size=(50, 3)))
    paths = [str(path) for path in sorted(tmp_path.glob("*.xyz"))]
    assert main(["compare", *paths, "--num-samples", "10"]) == 0
    said = "".join(capsys.readouterr())
    assert r"c\x1b[31m\nd.xyz" in said
    assert not {"\x1b", "\u202e"} & set(said)
