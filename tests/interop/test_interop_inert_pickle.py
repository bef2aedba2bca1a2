"""Nothing in a file is executed: pickles that would run code are read as records of what they say."""

import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from mlip.errors import PotentialError
from mlip.interop.inert_pickle import Inert, read_pickle
from mlip.interop.nequip import import_nequip


class Attack:
    """Unpickled the usual way it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def read(path):
    with zipfile.ZipFile(path) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = member.removesuffix("/data.pkl")
        return read_pickle(archive, member, f"{folder}/data/{{}}")


def test_tensors_and_plain_values_are_read_as_torch_reads_them(tmp_path):
    table = torch.arange(24, dtype=torch.float64).view(4, 6)
    content = {
        "plain": [1, 2.5, "text", None, True, (3, 4)],
        "ordered": OrderedDict(b=1, a=2),
        "set": {1, 2},
        "tensors": {
            "transposed": table.t(),
            "part": table[1:, 2:4],
            "half": torch.ones(3, dtype=torch.bfloat16),
            "whole": torch.arange(5),
            "truth": torch.tensor([True, False]),
            "scalar": torch.tensor(2.5),
            "empty": torch.empty(0),
            "parameter": nn.Parameter(torch.ones(2, 3)),
        },
    }
    torch.save(content, tmp_path / "file.pt")
    mine, theirs = read(tmp_path / "file.pt"), torch.load(tmp_path / "file.pt", weights_only=True)
    tensors = mine.pop("tensors")
    for name, tensor in theirs.pop("tensors").items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name
    assert mine == theirs


def test_tensors_of_a_gpu_are_read_onto_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    torch.save({"a": torch.arange(4.0)}, tmp_path / "file.pt")
    assert b"cuda:0" in (tmp_path / "file.pt").read_bytes()
    assert torch.equal(read(tmp_path / "file.pt")["a"], torch.arange(4.0))


def test_a_module_becomes_a_record_of_its_parameters(tmp_path):
    layer = nn.Linear(3, 2)
    torch.save(layer, tmp_path / "file.pt")
    record = read(tmp_path / "file.pt")
    assert isinstance(record, Inert)
    assert type(record).__name__ == "Linear"
    assert torch.equal(record.state["_parameters"]["weight"], layer.weight)


def attacks(victim):
    yield {"a": Attack(victim)}
    yield {"state_dict": {}, "hyper_parameters": {"info_dict": {}, "model": Attack(victim)}}
    yield {"state_dict": {"model.sole_model.model.func.x": Attack(victim)}, "hyper_parameters": {}}


@pytest.mark.parametrize("which", range(3))
def test_code_in_a_file_does_not_run(tmp_path, which):
    victim, path = tmp_path / "victim", tmp_path / "bad.ckpt"
    torch.save(list(attacks(victim))[which], path)
    with pytest.raises(PotentialError) as caught:
        import_nequip(path)
    assert "\n" not in str(caught.value)
    assert not victim.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert victim.exists()


@pytest.mark.parametrize(
    "instructions",
    [
        b"cos\nsystem\n(S'touch victim'\ntR.",  # call a function
        b"(S'touch victim'\nios\nsystem\n.",  # make an instance
        b"(cos\nsystem\nS'touch victim'\no.",  # the same, another way
        b"cos\nsystem\n}S'x'\nI1\nsb.",  # fill a class
        b"ctorch._utils\n_rebuild_tensor_v2\n}S'x'\nI1\nsb.",  # fill a function of ours
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR.",  # call it wrongly
        b"(I1\nI2\nI3\ntQ.",  # ask for a tensor that is none
        b"\x82\x01.",  # an extension
        b"",
    ],
)
def test_hostile_pickles_leave_no_trace(tmp_path, monkeypatch, instructions):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("bad.ckpt", "w") as archive:
        archive.writestr("bad/data.pkl", instructions)
    with pytest.raises(PotentialError):
        import_nequip("bad.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]


def test_tensors_may_not_reach_beyond_their_numbers(tmp_path):
    torch.save({"a": torch.arange(4.0)}, tmp_path / "good.pt")
    with (
        zipfile.ZipFile(tmp_path / "good.pt") as good,
        zipfile.ZipFile(tmp_path / "bad.ckpt", "w") as bad,
    ):
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content[:8] if name.endswith("/data/0") else content)
    with pytest.raises(PotentialError, match="damaged"):
        read(tmp_path / "bad.ckpt")


def test_the_same_pickle_is_dangerous_elsewhere(tmp_path, monkeypatch):
    """What the test above reads does run where pickles are executed."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(b"cos\nsystem\n(S'touch victim'\ntR.")
    assert (tmp_path / "victim").exists()
