"""After `dvc repro`: a second one has nothing to do. Run by .ci/run, where the pipeline has just ended."""

import subprocess
import sys
import time
from pathlib import Path

dvc = Path(sys.executable).with_name("dvc")
started = time.perf_counter()
output = subprocess.run([dvc, "repro"], capture_output=True, text=True, check=True).stdout
seconds = time.perf_counter() - started
ran = [line for line in output.splitlines() if line.startswith("Running stage")]
if ran or "Data and pipelines are up to date." not in output:
    sys.exit("a second `dvc repro` ran again:\n" + output)
print(f"a second `dvc repro` did nothing, in {seconds:.1f} s")
