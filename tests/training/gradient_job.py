"""One global batch's gradient, by whatever processes torchrun started; run by test_distributed.py.

Arguments: params.yaml, a run, "eval" or "dropout", a folder for the results, then sizes of micro-batches. Computes in
float64: in float32 the rounding of a sum can move an activation across a ReLU's kink, and no tolerance fits everywhere.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.config import load_params
from harness.data.dataset import open_dataset
from harness.data.loader import batches
from harness.training.checkpoint import build_network
from harness.training.distributed import joined
from harness.training.numerics import autocast, make_scaler
from harness.training.plan import resolve_recipe
from harness.training.step import accumulate_gradient


class InFloat64(nn.Module):
    """A network that takes float32 images and computes in float64."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.network(image.double(), input_ids, attention_mask)
        return logits


def main(params_path: str, name: str, mode: str, folder: str, *sizes: str) -> None:
    params = load_params(params_path)
    recipe = resolve_recipe(params, name)
    data = open_dataset(params, "train", black_boxes=True, seed=0)
    with joined(60) as ranks:
        for size in map(int, sizes):
            torch.manual_seed(0)
            model = InFloat64(build_network(params, params.runs[name]))
            model.train(mode == "dropout")
            for module in model.modules():  # its statistics would be those of a micro-batch
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
            network = ranks.parallel(model)
            micros = next(
                batches(
                    data,
                    recipe.batch_size,
                    seed=0,
                    epoch=0,
                    rank=ranks.rank,
                    world=ranks.world,
                    micro_batch=size,
                    workers=0,
                    device=ranks.device,
                )
            )
            parts = accumulate_gradient(
                network,
                micros,
                recipe,
                ranks,
                seed=(0, 7),
                autocast=autocast(params.training, ranks.device),
                scaler=make_scaler(params.training, ranks.device),
            )
            (loss,) = ranks.sum([sum(parts)])
            if ranks.is_main:
                gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
                torch.save({"loss": loss, "gradient": gradient}, Path(folder) / f"{ranks.world}x{size}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
