"""Weights from elsewhere: released checkpoints, and pre-trained Swin and BERT to start from."""

from harness.weights.network import Network, open_network
from harness.weights.official import convert_file, load_official
from harness.weights.pretrained import load_pretrained, load_pretrained_bert, load_pretrained_swin
from harness.weights.reading import read_state_dict
from harness.weights.tokenizer import network_tokenizer

__all__ = [
    "Network",
    "convert_file",
    "load_official",
    "load_pretrained",
    "load_pretrained_bert",
    "load_pretrained_swin",
    "network_tokenizer",
    "open_network",
    "read_state_dict",
]
