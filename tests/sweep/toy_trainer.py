"""A stage command that trains nothing: it counts steps, listens to requests to stop as the trainer does, and resumes.

`python toy_trainer.py OUT RUN`. What is to go wrong stands in behaviour.json: {RUN: {key: value}}, with
    steps: how many it takes (20); meet: how many other runs must be in training before it begins;
    exit: leave with this code at the start; interrupt: leave with 75 at this step, once; hang: do not end when asked;
    linger: stay for so many seconds when all is done, not listening to signals any more.
Each start adds a line to events.jsonl.
"""

import json
import os
import sys
import time
from pathlib import Path

from harness.training.stop import EXIT_STOPPED, StopRequests


def main(out: Path, run: str) -> int:
    behaviour = (
        json.loads(Path("behaviour.json").read_text()).get(run, {}) if Path("behaviour.json").exists() else {}
    )
    folder = out / "training" / run
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "step"
    first = step = int(state.read_text()) if state.exists() else 0
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "SLURM_RESTART_COUNT")
    event = {"run": run, "from": first, "pid": os.getpid(), **{name: os.environ.get(name) for name in names}}
    with Path("events.jsonl").open("a") as events:
        events.write(json.dumps(event) + "\n")
    if behaviour.get("exit"):
        print("error: the toy was told to fail", file=sys.stderr)
        return behaviour["exit"]
    with StopRequests() as requests, requests.listening():
        (folder / "started").touch()
        while len(list(out.glob("training/*/started"))) <= behaviour.get("meet", 0):
            time.sleep(0.02)
        while step < behaviour.get("steps", 20):
            time.sleep(0.02)
            step += 1
            print(f"step {step}", flush=True)
            interrupted = step == behaviour.get("interrupt") and not first
            if interrupted or (requests and not behaviour.get("hang")):
                state.write_text(str(step))
                print("saved", flush=True)
                return EXIT_STOPPED
    results = out / "runs" / run
    (results / "weights").mkdir(parents=True, exist_ok=True)
    for name in ("weights/model.safetensors", "provenance.json", "history.csv"):
        (results / name).write_text(f"{run}\n")
    state.unlink(missing_ok=True)
    (folder / "done").touch()
    time.sleep(behaviour.get("linger", 0))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
