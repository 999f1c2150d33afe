"""Checkpoints and configs of a stranger, and a process that tries them beside a canary.

``python -m tests.foreign FOLDER CHECKPOINT`` runs beside a module ``canary`` and a file
``secret.yaml``, both in the folder. It writes a line of JSON for each variant: what it is, what
came of it, and what was imported or opened.
"""

import copy
import io
import json
import sys
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
import yaml

CANARY = '"""Would be noticed."""\nclass Part:\n    pass\n\n\ndef build(*_, **__):\n    pass\n'
SECRET = "class_path: canary.Part\nsecret: do-not-show\n"
OWN = {
    "decoder": "shapespace.decoders.SkipMLP",
    "objective": "shapespace.objectives.IGR",
    "sampler": "shapespace.sampling.NearSurface",
}


def parts(secret):
    """Plain data that a file might give for a part, none of which is one."""
    texts = (
        *("canary.Part", "canary", "canary.build", "os.system", "builtins.exec", "Part"),
        *("class_path: canary.Part", '{"class_path": "canary.Part"}', "[canary.Part]"),
        *(secret, f"./{Path(secret).name}", "../secret.yaml", "/dev/stdin", "shapespace.decoders"),
    )
    paths = (
        *("canary.Part", "canary", "canary.build", ".canary.Part", "", ".", "..", "os.system"),
        *("subprocess.Popen", "builtins.exec", "shapespace_evil.Part", "torch.hub.load"),
        *("shapespace.decoders.mlp.math.sqrt", "shapespace.sampling.torch.hub.load"),
        *("shapespace.training.callbacks.signals.subprocess.Popen", "torch.nn.modules.module.os"),
        *("torch.nn.Linear", "shapespace.utils.files.replacing", "pytorch_lightning.Trainer"),
        "shapespace.decoders.Nothing",
    )
    yield from texts
    yield from ({"class_path": path} for path in paths)
    yield from ({"class_path": value} for value in (None, 1, ["canary.Part"], {}))
    yield from ([{"class_path": "canary.Part"}], {"init_args": {}}, {"class_path": "a.B", "x": 1})


def some_parts(secret, name):
    """All of :func:`parts` for the decoder, a third of them for the other parts."""
    return list(parts(secret))[:: 1 if name == "decoder" else 3]


def arguments(secret):
    """Arguments of a part of shapespace, each of which is wrong."""
    part = {"class_path": "canary.Part"}
    yield from (secret, ["canary.Part"], {"nothing": part}, {"precision": "canary.Part"})
    yield from ({"latent_size": part}, {"latent_size": "canary.Part"}, {"width": [part]})
    yield from ({"depth": 10**12}, {"width": 10**9}, {"beta": secret}, {"eikonal": [[part]]})
    yield {"extent": {"class_path": "shapespace.sampling.NearSurface", "init_args": part}}


def checkpoints(content, secret):
    """Name and content of checkpoints with foreign or damaged parts."""
    for name, own in OWN.items():
        for number, part in enumerate(some_parts(secret, name)):
            yield f"{name} {number}", {name: part}
        for number, init in enumerate(arguments(secret)):
            yield f"{name} with {number}", {name: {"class_path": own, "init_args": init}}
        more = {"class_path": own, "init_args": {}, "dict_kwargs": {"class_path": "canary.Part"}}
        yield f"{name} more", {name: more}
    yield "instantiator", {"_instantiator": "canary.build"}
    for number in (10**9, -1, None, "4", 5):
        yield f"num_scans {number}", {"num_scans": number}
    deep = []
    for _ in range(100):
        deep = [deep]
    wide = []
    for _ in range(40):
        wide = [wide, wide]
    yield from (("deep", {"lr": deep}), ("wide", {"lr": wide}))


def configs(base, secret):
    """Name and text of configs that name foreign classes or files, or are no sane config."""

    def put(key, value):
        config = copy.deepcopy(base)
        *way, last = key.split(".")
        place = config
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value
        return key, yaml.safe_dump(config)

    for name in OWN:
        for part in some_parts(secret, name):
            yield put(f"model.{name}", part)
    foreign = ["canary.Part", {"class_path": "canary.Part"}, [{"class_path": "canary.Part"}]]
    keys = ("accelerator", "strategy", "logger", "callbacks", "plugins", "profiler")
    for value in (*foreign, secret):
        for key in keys:
            yield put(f"trainer.{key}", value)
        for key in ("model", "trainer", "data", "checkpoint", "health", "config", "trust"):
            yield put(key, value)
    hook = {"init_args": {"on_train_start": "canary.build"}}
    for name in ("LambdaCallback", "pytorch_lightning.callbacks.LambdaCallback"):
        yield put("trainer.callbacks", [{"class_path": name, **hook}])
    wave = {"class_path": "pytorch_lightning.strategies.DDPStrategy"}
    yield put("trainer.strategy", {**wave, "init_args": {"ddp_comm_hook": "canary.build"}})
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    yield "laughs", f"a0: &a0 [x, x, x]\n{laughs}"
    yield "deep", "[" * 5000
    yield "itself", "a: &a [*a]\n"
    yield "wide", "a: [" + "1, " * 60_000 + "]\n"
    yield "long", "# " + "x" * (2 << 20)


class Watch:
    """Counts what is imported and opened, by Python's own audit."""

    def __init__(self):
        self.seen = []
        sys.addaudithook(self.hook)

    def hook(self, event, args):
        if event == "import" and str(args[0]).partition(".")[0] == "canary":
            self.seen.append("canary imported")
        if event == "open" and "secret.yaml" in str(args[0]):
            self.seen.append("secret opened")


def commands(checkpoint, store, out):
    """Every command that reads a checkpoint."""
    path = str(checkpoint)
    yield from (["info", path], ["mesh", path, "ball", "--out", out], ["diagnose", path])
    yield from (["reconstruct", path, store, "--out", out], ["evaluate", path, store, "--out", out])
    yield ["interpolate", path, "ball", "egg", "--out", out]
    yield ["codes", "add", path, store, "--out", f"{out}.ckpt"]
    yield ["codes", "drop", path, "--names", "ball", "--out", f"{out}.ckpt"]
    yield ["report", str(checkpoint.parent)]
    options = ["--config", str(checkpoint.with_name("config.yaml")), "--data.store", store]
    yield ["train", *options, "--trainer.default_root_dir", str(checkpoint.parent)]
    yield ["train", *options, "--trainer.default_root_dir", out, "--ckpt_path", path]


def said_by_main(words):
    """Exit code and standard error of a command."""
    from shapespace.cli.main import main

    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = main(words)
    return f"exit {code}: {said.getvalue().strip()}"


def try_checkpoints(folder, content, report):
    from shapespace.errors import InputError
    from shapespace.space import TrainedSpace

    config = yaml.safe_load((folder / "run/config.yaml").read_text())
    path = folder / "run/last.ckpt"
    for number, (name, change) in enumerate(checkpoints(content, str(folder / "secret.yaml"))):
        torch.save({**content, "hyper_parameters": content["hyper_parameters"] | change}, path)
        try:
            TrainedSpace.load(path)
            report(name, "taken")
        except InputError as error:
            report(name, f"line: {error}")
        if number in (0, 7, 14):
            for words in commands(path, config["data"]["store"], str(folder / "out")):
                report(" ".join(words[:2]), said_by_main(words))


def try_configs(folder, content, report):
    from shapespace.config.trust import known_imports_only
    from shapespace.errors import InputError
    from shapespace.training.callbacks.signals import Signals
    from shapespace.training.cli import one_line_misconfigurations
    from tests.damaged import Again

    base = yaml.safe_load((folder / "run/config.yaml").read_text())
    base = {key: base[key] for key in ("model", "data", "trainer")}
    base["trainer"] = {"default_root_dir": str(folder / "out"), "max_epochs": 1}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(base))
    with ExitStack() as held, known_imports_only():
        cli = Again([f"--config={path}"], Signals(), held, save_config_callback=None)
        for number, (name, text) in enumerate(configs(base, str(folder / "secret.yaml"))):
            path.write_text(text)
            try:
                with one_line_misconfigurations():
                    cli.parse_arguments(cli.parser, ["fit", f"--config={path}"])
                    cli.config_init = None
                    cli.instantiate_classes()
                report(name, "taken")
            except InputError as error:
                report(name, f"line: {error}")
            if number % 60 == 0:
                report(name, said_by_main(["train", "--config", str(path)]))


def main(folder, checkpoint):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder = Path(folder)
    sys.path.insert(0, str(folder))
    content = torch.load(checkpoint, weights_only=True)
    watch = Watch()

    def report(name, outcome):
        line = {"name": name, "outcome": outcome, "seen": watch.seen.copy()}
        watch.seen.clear()
        sys.__stdout__.write(json.dumps(line) + "\n")

    try_checkpoints(folder, content, report)
    try_configs(folder, content, report)


if __name__ == "__main__":
    main(*sys.argv[1:])
