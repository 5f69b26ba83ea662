"""Pre-trained starts: files that timm and transformers write, and a hub that this test serves."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertModel

from baselines.config import PRESETS
from harness.config import Pretrained
from harness.errors import HarnessError
from harness.models import create_model
from harness.weights import load_pretrained, load_pretrained_bert, load_pretrained_swin

VOCABULARY = 50
MINI = PRESETS["mini"]
SIDE = 384  # grids 96, 48, 24 and 12: all whole windows of 6, none as small as one, where timm is alike


@pytest.fixture(scope="module")
def swin() -> SwinTransformer:
    """timm's Swin of the sizes of `mini`, with a classifier."""
    torch.manual_seed(3)
    swin = SwinTransformer(
        img_size=SIDE,
        patch_size=MINI.patch_size,
        num_classes=7,
        embed_dim=MINI.embed_dim,
        depths=MINI.depths,
        num_heads=MINI.heads,
        window_size=MINI.window,
        mlp_ratio=MINI.mlp_ratio,
    ).eval()
    with torch.no_grad():
        for name, parameter in swin.named_parameters():
            if not name.endswith("norm.weight"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return swin


def original_layout(swin: SwinTransformer) -> dict[str, Tensor]:
    """The tensors as the original release names them: merging at the end of a stage, one more buffer."""
    state: dict[str, Tensor] = {}
    for name, tensor in swin.state_dict().items():
        parts = name.split(".")
        if len(parts) > 2 and parts[2] == "downsample":
            parts[1] = str(int(parts[1]) - 1)
        state[".".join(parts).replace("head.fc.", "head.")] = tensor
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(36, 36, dtype=torch.long)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 36, 36)
    return state


def bert_config(**other: int) -> BertConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": MINI.text.hidden,
        "num_hidden_layers": MINI.text.layers,
        "num_attention_heads": MINI.text.heads,
        "intermediate_size": MINI.text.intermediate,
        "max_position_embeddings": MINI.text.max_positions,
    }
    return BertConfig(**(sizes | other))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return create_model("mafn", vocab_size=VOCABULARY, drop_path=0.0)


@pytest.mark.parametrize("layout", ["timm.safetensors", "original.pth"])
def test_our_swin_then_computes_what_timms_does(swin: SwinTransformer, tmp_path: Path, layout: str) -> None:
    file = tmp_path / layout
    if layout.startswith("timm"):
        save_file(swin.state_dict(), file)
    else:
        torch.save({"model": original_layout(swin)}, file)
    network = create_model("lavt", vocab_size=VOCABULARY).eval()
    load_pretrained_swin(network, str(file))

    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        theirs = swin.patch_embed(image)
        ours = network.backbone.patch_embed(image)
        for stage, layer in enumerate(network.backbone.layers):
            theirs, ours = swin.layers[stage](theirs), layer.blocks(ours)
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
            assert ours.std() > 0.1
            if layer.downsample is not None:
                ours = layer.downsample(ours)


def test_only_what_is_pretrained_changes(network: nn.Module, swin: SwinTransformer, tmp_path: Path) -> None:
    save_file(swin.state_dict(), tmp_path / "swin.safetensors")
    torch.manual_seed(4)
    bert = BertModel(bert_config(), add_pooling_layer=False)
    bert.save_pretrained(tmp_path / "bert")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_pretrained(
        network, "lavt", Pretrained(swin=str(tmp_path / "swin.safetensors"), bert=str(tmp_path / "bert"))
    )
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    kept = before.keys() - changed
    assert any(".token_attention." in name for name in kept)
    assert any(name.startswith("backbone.norms.") for name in kept)
    assert all(name in kept for name in before if name.startswith("classifier."))
    blocks = [name for name in before if ".blocks." in name and ".token_attention." not in name]
    assert {name for name in blocks if name.endswith("weight")} <= changed
    theirs = bert.state_dict()
    assert all(
        torch.equal(tensor, theirs[name]) for name, tensor in network.text_encoder.state_dict().items()
    )


def test_a_masked_language_models_head_is_left_out(network: nn.Module, tmp_path: Path) -> None:
    """What the hub has under bert-base-uncased is one."""
    torch.manual_seed(5)
    bert = BertForMaskedLM(bert_config())
    bert.save_pretrained(tmp_path)
    load_pretrained_bert(network, str(tmp_path))
    theirs = bert.bert.state_dict()
    assert all(
        torch.equal(tensor, theirs[name]) for name, tensor in network.text_encoder.state_dict().items()
    )


def test_another_window(network: nn.Module, swin: SwinTransformer, tmp_path: Path) -> None:
    state = swin.state_dict()
    for name in state:
        if name.endswith("relative_position_bias_table"):
            state[name] = torch.zeros(169, state[name].shape[1])
    torch.save(state, tmp_path / "swin_base_patch4_window7.pth")
    with pytest.raises(HarnessError, match=r"its Swin has window 7 .*the network window 6"):
        load_pretrained_swin(network, str(tmp_path / "swin_base_patch4_window7.pth"))


def test_a_swin_of_another_size(network: nn.Module, swin: SwinTransformer, tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in swin.state_dict().items() if not name.startswith("layers.3.")}
    torch.save(state, tmp_path / "swin.pth")
    with pytest.raises(HarnessError, match=r"missing: .*backbone\.layers\.3\.blocks\.0\.norm1\.weight"):
        load_pretrained_swin(network, str(tmp_path / "swin.pth"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"vocab_size": 21128}, r"21,128 word pieces \(bert-base-chinese\), the network a vocabulary of 50"),
        ({"hidden_size": 48}, r"does not fit the network: .*\(50, 48\), not \(50, 96\)"),
        ({"num_hidden_layers": 2}, r"encoder\.layer\.1\..* not in the network"),
    ],
)
def test_another_bert(network: nn.Module, tmp_path: Path, other: dict[str, int], message: str) -> None:
    BertModel(bert_config(**other), add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(HarnessError, match=message):
        load_pretrained_bert(network, str(tmp_path))


def test_half_a_bert(network: nn.Module, tmp_path: Path) -> None:
    bert = BertModel(bert_config(), add_pooling_layer=False)
    bert.save_pretrained(tmp_path)
    state = {name: tensor for name, tensor in bert.state_dict().items() if "output.dense" not in name}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(HarnessError, match=r"lacks encoder\.layer\.0\.attention\.output\.dense\.bias"):
        load_pretrained_bert(network, str(tmp_path))


def test_sources_that_are_not_there(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"swin\.pth does not exist"):
        load_pretrained_swin(network, str(tmp_path / "swin.pth"))
    with pytest.raises(HarnessError, match=r"no such folder. Put config.json and model.safetensors"):
        load_pretrained_bert(network, str(tmp_path / "bert"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match=r"weights/bert-base-uncased"):
        load_pretrained_bert(network, str(tmp_path / "empty"))


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download asks for: HEAD and GET of REPOSITORY/resolve/main/FILE."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        repository, _, name = self.path.lstrip("/").partition("/resolve/main/")
        file = self.folder / repository / name
        if not file.is_file() or not name:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a hub on loopback."""
    folder = tmp_path / "hub"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()


def in_a_process(
    code: str, endpoint: str, cache: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The hub's client reads its settings when it is imported."""
    surroundings = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    surroundings |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings)


LOAD = f"""
import hashlib, json, sys, torch
from harness.config import Pretrained
from harness.errors import HarnessError
from harness.models import create_model
from harness.weights import load_pretrained
network = create_model("lavt", vocab_size={VOCABULARY})
try:
    load_pretrained(network, "lavt", Pretrained(swin="timm/mini.swin", bert="someone/mini-bert"))
except HarnessError as error:
    sys.exit(f"refused: {{error}}")
state = network.state_dict()
print(json.dumps({{name: state[name].double().sum().item() for name in (
    "backbone.layers.0.blocks.0.mlp.fc1.weight", "text_encoder.embeddings.word_embeddings.weight")}}))
"""


@pytest.mark.big
def test_from_a_hub_and_afterwards_without_it(
    hub: tuple[str, Path], swin: SwinTransformer, tmp_path: Path
) -> None:
    endpoint, folder = hub
    (folder / "timm/mini.swin").mkdir(parents=True)
    save_file(swin.state_dict(), folder / "timm/mini.swin/model.safetensors")
    bert = BertModel(bert_config(), add_pooling_layer=False)
    bert.save_pretrained(folder / "someone/mini-bert")
    expected = {
        "backbone.layers.0.blocks.0.mlp.fc1.weight": swin.layers[0].blocks[0].mlp.fc1.weight,
        "text_encoder.embeddings.word_embeddings.weight": bert.embeddings.word_embeddings.weight,
    }
    online = in_a_process(LOAD, endpoint, tmp_path / "cache")
    assert online.returncode == 0, online.stderr
    offline = in_a_process(LOAD, "http://127.0.0.1:9", tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    for done in (online, offline):
        found = json.loads(done.stdout)
        for name, tensor in expected.items():
            assert found[name] == pytest.approx(tensor.double().sum().item())


@pytest.mark.big
def test_without_a_hub_it_says_what_to_download(tmp_path: Path) -> None:
    done = in_a_process(LOAD, "http://127.0.0.1:9", tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "refused: pre-trained Swin 'timm/mini.swin' cannot be had from the hub" in done.stderr
    assert "swin_base_patch4_window12_384_22k.pth" in done.stderr
    assert "training: {pretrained: {swin: weights/<file>}}" in done.stderr
    assert "Traceback" not in done.stderr
