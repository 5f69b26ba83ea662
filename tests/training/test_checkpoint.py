import subprocess
import sys

SAVE = """
import resource, sys, torch
from pathlib import Path
from harness.errors import HarnessError
from harness.training.checkpoint import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    save_tensors({"weight": torch.zeros(1 << 20)}, Path(sys.argv[1]), {})
except HarnessError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_checkpoint_that_finds_no_room_leaves_the_old_one(tmp_path):
    """A limit on the size of files stands for the full disk: the process cannot write past it."""
    path = tmp_path / "model.safetensors"
    path.write_text("the old one")
    done = subprocess.run([sys.executable, "-c", SAVE, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"refused: cannot write {path}: File too large; what was there is unchanged" in done.stderr
    assert path.read_text() == "the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
