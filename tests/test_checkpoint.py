"""A checkpoint runs nothing, names nothing foreign, and what is wrong with it is one line."""

import copy
import os
import pickle
import zipfile

import pytest
import torch

from shapespace.checkpoint import FORMAT, read_checkpoint
from shapespace.errors import InputError
from shapespace.space import TrainedSpace


class Attack:
    """Unpickled, it would make the folder ``target``."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture
def content(toy_checkpoint):
    return copy.deepcopy(read_checkpoint(toy_checkpoint))


def saved(content, tmp_path):
    torch.save(content, tmp_path / "odd.ckpt")
    return tmp_path / "odd.ckpt"


def test_a_good_one_is_read_and_stays_good(toy_checkpoint, content, tmp_path):
    assert content["shapespace"]["format"] == FORMAT
    assert content["shapespace"]["unit"] == "m"
    space = TrainedSpace.load(saved(content, tmp_path))
    assert space.names == ("ball", "egg", "lens", "melon")
    assert torch.equal(space.codes.table.weight, content["state_dict"]["codes.table.weight"])


def test_hyper_parameters_are_plain_data(content):
    waiting = [content["hyper_parameters"]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        else:
            assert value is None or type(value) in (str, int, float, bool)


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_in_it_is_executed(content, tmp_path, plain):
    path, target = tmp_path / "odd.ckpt", tmp_path / "made"
    content["hyper_parameters"]["decoder"] = Attack(target)
    if plain:
        path.write_bytes(pickle.dumps(content["hyper_parameters"]))
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"odd\.ckpt: is not a readable checkpoint"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("named", ["os.system", "shapespace_evil.Decoder", "builtins.exec"])
def test_a_foreign_class_is_refused(content, tmp_path, named):
    content["hyper_parameters"]["sampler"]["class_path"] = named
    with pytest.raises(InputError, match=rf"odd\.ckpt: names the class '{named}'"):
        read_checkpoint(saved(content, tmp_path))


def test_a_package_of_the_user_can_be_trusted(content, tmp_path, monkeypatch):
    content["hyper_parameters"]["sampler"]["class_path"] = "mine.Sampler"
    path = saved(content, tmp_path)
    with pytest.raises(InputError, match="SHAPESPACE_TRUST=mine"):
        read_checkpoint(path)
    monkeypatch.setenv("SHAPESPACE_TRUST", "others,mine")
    assert read_checkpoint(path)["hyper_parameters"] == content["hyper_parameters"]


def test_a_foreign_class_is_found_at_any_depth(content, tmp_path):
    deep = [{"inner": ({"class_path": "os.system"},)}]
    content["hyper_parameters"]["decoder"]["init_args"]["more"] = deep
    with pytest.raises(InputError, match=r"names the class 'os\.system'"):
        read_checkpoint(saved(content, tmp_path))


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -100])
def test_a_truncated_file(toy_checkpoint, tmp_path, size):
    path = tmp_path / "odd.ckpt"
    path.write_bytes(toy_checkpoint.read_bytes()[:size])
    with pytest.raises(InputError, match=r"odd\.ckpt: is not a readable checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "text", [b"text", b"(((", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x05N."]
)
def test_bytes_of_something_else(text, tmp_path):
    path = tmp_path / "odd.ckpt"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"odd\.ckpt: is not a"):
        read_checkpoint(path)


def test_another_format(content, tmp_path):
    content["shapespace"]["format"] = 99
    with pytest.raises(InputError, match=rf"has checkpoint format 99, this version reads {FORMAT}"):
        read_checkpoint(saved(content, tmp_path))


@pytest.mark.parametrize("other", [3.0, {}, {"state_dict": {}}, {"shapespace": 1}])
def test_a_checkpoint_of_something_else(other, tmp_path):
    with pytest.raises(InputError, match=r"odd\.ckpt: is not a shapespace checkpoint"):
        read_checkpoint(saved(other, tmp_path))


@pytest.mark.parametrize(
    ("path", "said"), [("none.ckpt", "no such checkpoint"), (".", "is a folder; give a checkpoint")]
)
def test_no_file(path, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read_checkpoint(tmp_path / path)


def test_parts_that_do_not_fit(content, tmp_path):
    content["hyper_parameters"]["decoder"]["init_args"]["width"] = 32
    with pytest.raises(InputError, match=r"odd\.ckpt: its parts do not fit together") as caught:
        TrainedSpace.load(saved(content, tmp_path))
    assert "\n" not in str(caught.value)


def test_entries_are_not_larger_than_the_file(toy_checkpoint, tmp_path):
    path = tmp_path / "odd.ckpt"
    with zipfile.ZipFile(toy_checkpoint) as good, zipfile.ZipFile(path, "w") as packed:
        for entry in good.infolist():
            how = zipfile.ZIP_DEFLATED if entry.filename.endswith("data/0") else zipfile.ZIP_STORED
            packed.writestr(entry.filename, good.read(entry), how)
    with pytest.raises(InputError, match="data/0 is compressed"):
        read_checkpoint(path)
    # The size of the last entry as the directory of the archive gives it, twice.
    claimed = bytearray(toy_checkpoint.read_bytes())
    at = claimed.rindex(b"PK\1\2")
    claimed[at + 20 : at + 28] = 2 * (1 << 30).to_bytes(4, "little")
    path.write_bytes(claimed)
    with pytest.raises(InputError, match="its entries claim more bytes than the file has"):
        read_checkpoint(path)


def test_what_is_declared_is_compared_before_it_is_built(content, tmp_path):
    from shapespace import codes

    huge = torch.zeros(1).expand(10**9, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes.nn, "Embedding", None)
        content["hyper_parameters"]["num_scans"] = 10**9
        with pytest.raises(InputError, match="declares 1000000000 scans but has codes of 4"):
            TrainedSpace.load(saved(content, tmp_path))
        content["state_dict"]["codes.table.weight"] = huge
        with pytest.raises(InputError, match=r"holds a tensor of shape \(1000000000, 8\) without"):
            TrainedSpace.load(saved(content, tmp_path))


def test_a_decoder_is_no_larger_than_its_weights(content, tmp_path):
    for name in ("width", "depth", "latent_size"):
        again = copy.deepcopy(content)
        again["hyper_parameters"]["decoder"]["init_args"][name] = 10**9
        with pytest.raises(InputError, match=rf"decoder\.{name}=1000000000: its weights are those"):
            TrainedSpace.load(saved(again, tmp_path))
