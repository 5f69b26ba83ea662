"""Evaluations that end early, by whatever processes torchrun started; run by test_sharded_evaluation.py.

Arguments: params.yaml, a run, a folder for what each process saw. Process 1 is stopped before its first batch; then
nobody is, in the same processes; then process 1 finds an image that it cannot decode.
"""

import json
import sys
from pathlib import Path

from harness.config import load_params
from harness.data.dataset import open_dataset
from harness.errors import HarnessError
from harness.evaluation import EvaluationStopped, Identity, evaluate, predict
from harness.training.checkpoint import build_network, checkpoint_file, load_checkpoint
from harness.training.distributed import joined

BATCH_SIZE = 2


def main(params_path: str, name: str, folder: str) -> None:
    params = load_params(params_path)
    dataset = open_dataset(params, "test")
    model = build_network(params, params.runs[name])
    load_checkpoint(model, checkpoint_file(params, name))
    with joined(60) as ranks:
        asked = 0

        def stopped() -> bool:
            nonlocal asked
            asked += 1
            return ranks.rank == 1

        def measure(**options):
            predicted = predict(model, dataset, BATCH_SIZE, ranks.device, ranks=ranks, **options)
            return evaluate(predicted, dataset, Identity.of(params, name), "test", ["resized"], ranks=ranks)

        model.train()
        seen = {}
        try:
            measure(stopped=stopped)
        except EvaluationStopped:
            seen["asked"] = asked
        seen["training_again"] = model.training
        tables, predictions = measure()
        seen["intersection"] = tables["resized"]["intersection"].tolist()
        seen["predictions"] = [counts.decode() for counts in predictions]
        if ranks.rank == 1:
            dataset.native_image = unreadable
        try:
            measure()
        except HarnessError as error:
            seen["error"] = str(error)
        except SystemExit as leaving:
            seen["left_with"] = leaving.code
        (Path(folder) / f"{ranks.rank}.json").write_text(json.dumps(seen))


def unreadable(row: int) -> None:
    raise HarnessError(f"row {row} cannot be decoded")


if __name__ == "__main__":
    main(*sys.argv[1:])
