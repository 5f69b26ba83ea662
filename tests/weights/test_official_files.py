"""Released checkpoints from files: what converts, and what people get wrong."""

import argparse
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.official import rename
from harness.cli import main
from harness.errors import HarnessError
from harness.models import create_model
from harness.training.checkpoint import load_checkpoint
from harness.weights import load_official, read_state_dict

VOCABULARY = 40
GOLDEN = Path(__file__).parents[1] / "golden"


def official_state(name: str, model: torch.nn.Module) -> dict[str, Tensor]:
    """`model`'s values under the official names, with what the released network has beside them."""
    state = model.state_dict()
    official: dict[str, Tensor] = {}
    for key in json.loads((GOLDEN / f"{name}_state_dict.json").read_text()):
        ours = rename(key)
        if ours in state:
            official[key] = state[ours]
        elif key.startswith("backbone.layers.3.") and ".blocks." not in key:
            official[key] = torch.zeros(3)
    official["backbone.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(2, dtype=torch.long)
    return official


@pytest.fixture(scope="module")
def lavt() -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model("lavt", vocab_size=VOCABULARY)


def other() -> torch.nn.Module:
    torch.manual_seed(2)
    return create_model("lavt", vocab_size=VOCABULARY)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


class Foreign:
    """A class that a checkpoint may not bring along."""


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
def test_a_whole_training_checkpoint_fills_the_model(
    lavt: torch.nn.Module, tmp_path: Path, legacy: bool
) -> None:
    file = tmp_path / "model_best_lavt.pth"
    content = {
        "model": official_state("lavt", lavt),
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 39,
        "args": argparse.Namespace(lr=3e-5, swin_type="base"),
    }
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    model = other()
    assert not same(model, lavt)
    dropped = load_official(model, file)
    assert same(model, lavt)
    assert dropped == ["backbone.layers.3.res_gate.0.weight", "backbone.layers.3.res_gate.2.weight"]


def test_a_state_dict_with_the_prefix_of_ddp(lavt: torch.nn.Module) -> None:
    model = other()
    load_official(model, {f"module.{name}": tensor for name, tensor in official_state("lavt", lavt).items()})
    assert same(model, lavt)


def refused(model: torch.nn.Module, weights: Any) -> str:
    """The message with which `load_official` refuses, after which the model is as before."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(HarnessError) as error:
        load_official(model, weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return str(error.value)


def test_unknown_and_missing_tensors_are_listed(lavt: torch.nn.Module) -> None:
    state = official_state("lavt", lavt)
    state["backbone.extra.weight"] = state.pop("backbone.patch_embed.proj.bias")
    message = refused(other(), state)
    assert "unknown: backbone.extra.weight" in message
    assert "missing: backbone.patch_embed.proj.bias" in message


def test_another_window(lavt: torch.nn.Module) -> None:
    state = official_state("lavt", lavt)
    for name in state:
        if name.endswith("relative_position_bias_table"):
            state[name] = torch.zeros(169, state[name].shape[1])
    message = refused(other(), state)
    assert (
        "its Swin has window 7 (a bias table of 169 rows), the network window 6 (a bias table of 121"
        in message
    )


def test_another_vocabulary(lavt: torch.nn.Module) -> None:
    state = official_state("lavt", lavt)
    words = "text_encoder.embeddings.word_embeddings.weight"
    state[words] = torch.zeros(21128, state[words].shape[1])
    message = refused(other(), state)
    assert "a vocabulary of 21,128 word pieces (bert-base-chinese), the network a vocabulary of 40" in message


def test_the_checkpoint_of_another_network(lavt: torch.nn.Module) -> None:
    rmsin = create_model("rmsin", vocab_size=VOCABULARY)
    assert "it holds lavt, the network is rmsin" in refused(rmsin, official_state("lavt", lavt))
    assert "it holds rmsin, the network is lavt" in refused(other(), official_state("rmsin", rmsin))


def test_a_checkpoint_of_something_else() -> None:
    message = refused(other(), {"conv1.weight": torch.zeros(3), "fc.bias": torch.zeros(3)})
    assert "not the tensors of LAVT, RMSIN or MAFN (they begin with conv1.weight, fc.bias)" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state": {}, "param_groups": []}, "holds the state of an optimizer"),
        ({"model": {"state": {}, "param_groups": []}}, "holds the state of an optimizer"),
        ({"epoch": 3, "args": argparse.Namespace()}, "holds no state dict: its keys are epoch, args"),
        ({}, "holds no state dict: it is empty"),
        ([1, 2], "holds a list"),
        (
            {"model": {"w": torch.zeros(1)}, "hook": Foreign()},
            r"objects of .*Foreign; loading them could run",
        ),
    ],
)
def test_files_without_a_networks_tensors(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(HarnessError, match=message) as error:
        read_state_dict(tmp_path / "file.pth")
    assert "file.pth" in str(error.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", ["truncated", "text", "empty", "zip"])
def test_damaged_files(lavt: torch.nn.Module, tmp_path: Path, content: str, suffix: str) -> None:
    file = tmp_path / f"file{suffix}"
    if content == "truncated":
        torch.save(official_state("lavt", lavt), file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif content == "zip":
        import zipfile

        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "no checkpoint")
    else:
        file.write_text("<html>404: Not Found</html>" if content == "text" else "")
    with pytest.raises(HarnessError, match=r"download it again") as error:
        read_state_dict(file)
    assert str(file) in str(error.value)


def test_a_reason_that_is_a_mere_number_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")  # pickle stumbles over "e", which is 101
    with pytest.raises(HarnessError, match="or a damaged one; it has 5 bytes"):
        read_state_dict(tmp_path / "text.jpg")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"none\.pth does not exist"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(HarnessError, match="is a folder"):
        read_state_dict(tmp_path)


def convert(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["harness", "weights", "convert", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the converter build the small networks of these tests where it would build Swin-B."""
    from baselines import config

    presets = config.PRESETS | {"swin-b": config.network_config("mini", vocab_size=VOCABULARY)}
    monkeypatch.setattr(config, "PRESETS", presets)


@pytest.mark.parametrize(
    ("golden", "options"),
    [
        ("lavt", {}),
        ("rmsin", {"image_size": 64}),
        (
            "mafn",
            {
                "image_size": 64,
                "kernels": [1, 3, 5],
                "adaptive_noise": True,
                "correlation_fusion": True,
                "msrc": True,
            },
        ),
        (
            "mafn_k1357",
            {
                "image_size": 96,
                "kernels": [1, 3, 5, 7],
                "adaptive_noise": True,
                "correlation_fusion": True,
                "msrc": True,
            },
        ),
    ],
)
@pytest.mark.usefixtures("small")
def test_convert_reads_the_options_off_the_tensors(
    golden: str,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = golden.split("_")[0]
    torch.manual_seed(1)
    model = create_model(name, preset="swin-b", **options)
    torch.save({"model": official_state(golden, model)}, tmp_path / "in.pth")
    out = tmp_path / "out.safetensors"
    assert convert(monkeypatch, "--model", name, str(tmp_path / "in.pth"), str(out)) == 0
    printed = capsys.readouterr().out
    assert f"{out}: {name}" in printed
    assert "backbone.layers.3.res_gate.* (2)" in printed
    torch.manual_seed(2)
    again = create_model(name, preset="swin-b", **options)
    description = load_checkpoint(again, out)
    assert same(again, model)
    assert description["model"] == name
    assert description["options"] == options
    assert "backbone.layers.3.res_gate.0.weight" in description["dropped"]


@pytest.mark.usefixtures("small")
def test_convert_refuses_and_leaves_what_was_there(
    lavt: torch.nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    source = tmp_path / "in.pth"
    torch.save(official_state("lavt", lavt), source)
    assert convert(monkeypatch, "--model", "mafn", str(source), str(out)) == 2
    assert "holds lavt, not mafn: pass --model lavt" in capsys.readouterr().err
    state = official_state("lavt", lavt)
    del state["classifier.bn1_4.weight"]
    torch.save(state, source)
    assert convert(monkeypatch, "--model", "lavt", str(source), str(out)) == 2
    assert "missing: classifier.levels.0.join.bn.weight" in capsys.readouterr().err
    assert convert(monkeypatch, "--model", "lavt", str(source), str(tmp_path / "out.pth")) == 2
    assert "name it *.safetensors" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.pth", "out.safetensors"]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.eye(3).to_sparse(),
        torch.eye(3).to_sparse_csr(),
        torch.empty(3, 3, device="meta"),
        torch.ones(3, 3, dtype=torch.complex64),
    ],
    ids=["sparse", "rows", "meta", "complex"],
)
def test_tensors_that_no_network_has_are_refused(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({"weight": tensor}, tmp_path / "file.pth")
    with pytest.raises(HarnessError, match=r"file\.pth holds tensors that no network here has .*: weight"):
        read_state_dict(tmp_path / "file.pth")


def test_a_checkpoint_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**27))
    with pytest.raises(
        HarnessError, match=r"file\.pth .*its members are compressed, or larger than the file"
    ):
        read_state_dict(tmp_path / "file.pth")


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_that_asks_for_bytes_of_any_number_is_refused(tmp_path: Path, old: bool) -> None:
    torch.save({"a": bytearray(b"x")}, tmp_path / "file.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(HarnessError, match=r"file\.pth .*it asks for a bytearray"):
        read_state_dict(tmp_path / "file.pth")


@pytest.mark.parametrize(
    "program", [b"R.", b"\x80\x02X\xff", b"X\xff\xff\xff\xff", b"0", b"(dQ.", b"}(K\x01K\x02u."]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_of_pickle_that_stumbles_is_refused(tmp_path: Path, program: bytes, zipped: bool) -> None:
    if zipped:
        with zipfile.ZipFile(tmp_path / "file.pth", "w") as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/version", b"3\n")
    else:
        (tmp_path / "file.pth").write_bytes(program)
    with pytest.raises(HarnessError, match=r"file\.pth"):
        read_state_dict(tmp_path / "file.pth")
