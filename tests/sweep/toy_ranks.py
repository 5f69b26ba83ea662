"""A stage command for torchrun: its processes meet, and the first writes what a run leaves behind.

`torchrun toy_ranks.py OUT RUN`.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
ranks = torch.tensor([float(dist.get_rank())])
dist.all_reduce(ranks)
results = Path(sys.argv[1]) / "runs" / sys.argv[2]
if dist.get_rank() == 0:
    (results / "weights").mkdir(parents=True, exist_ok=True)
    for name in ("weights/model.safetensors", "provenance.json", "history.csv"):
        (results / name).write_text(f"{ranks.item()} on {os.environ['GROUP_WORLD_SIZE']} machines\n")
dist.destroy_process_group()
