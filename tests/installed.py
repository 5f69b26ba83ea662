"""The installed package, outside of a checkout: what works there, and what is refused with a way out.

`python tests/installed.py`, with the Python of the environment that the wheel is installed in. It asserts that no
source file of the checkout is used; the release workflow and tests/test_distribution.py run it.
"""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import harness

EXPRESSIONS = 40


def run(*arguments: str, cwd: Path, exit_code: int = 0) -> str:
    """What `harness ARGUMENTS` said, all of it; its exit code has to be that one."""
    command = [str(Path(sys.executable).with_name("harness")), *arguments]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    said = result.stdout + result.stderr
    assert result.returncode == exit_code, f"{' '.join(arguments)}: exit code {result.returncode}\n{said}"
    assert "Traceback" not in said, said
    return said


def commands_without_data(folder: Path) -> None:
    assert version("rrsis-harness") in run("--version", cwd=folder)
    assert "mafn" in run("models", "--preset", "mini", cwd=folder)
    assert run("audit", cwd=folder).startswith("Audit of published.yaml")
    run("audit", "--format", "html", "--out", "audit.html", cwd=folder)
    assert "</html>" in (folder / "audit.html").read_text()


def refusals(folder: Path) -> None:
    for command in (("train", "mafn-s0"), ("sweep",), ("report", "build"), ("check",)):
        said = " ".join(run(*command, cwd=folder, exit_code=2).split())
        assert "params.yaml does not exist here" in said, said
        assert "name the file with --params" in said, said


def drawn_data(folder: Path) -> None:
    run("data", "synth", "--refs", str(EXPRESSIONS), "--size", "64", "--workers", "1", "drawn", cwd=folder)
    run("data", "verify", "drawn", "--expect", "none", "--html", "card.html", cwd=folder)
    assert "</html>" in (folder / "card.html").read_text()


def comparison_of_files(folder: Path) -> None:
    """One table of Parquet by our writer, one of CSV; the difference is known beforehand."""
    import pandas as pd

    from harness.samples import write_samples

    rows = pd.DataFrame(
        {
            "model": "a", "variant": "full", "seed": 0, "split": "test", "protocol": "resized", "dataset": "drawn",
            "image_id": range(EXPRESSIONS), "ref_id": range(EXPRESSIONS), "sentence": "the red ship",
            "category": "ship", "intersection": [40 + 10 * (number % 5) for number in range(EXPRESSIONS)],
            "union": 100, "mask_area": 90, "area_share": 0.1, "center_x": 0.5, "center_y": 0.5,
            "cluster_id": range(EXPRESSIONS),
        }
    )  # fmt: skip
    better = rows.assign(model="b", intersection=rows["intersection"] + 10)
    write_samples(rows.assign(iou=rows["intersection"] / 100), folder / "a.parquet")
    better.assign(iou=better["intersection"] / 100).to_csv(folder / "b.csv", index=False)
    run("compare", "b.csv", "a.parquet", "--resamples", "200", "--out", "compared.json", cwd=folder)
    metrics = json.loads((folder / "compared.json").read_text())["metrics"]
    assert abs(metrics["mIoU"]["difference"] - 10) < 1e-9, metrics["mIoU"]
    assert abs(metrics["oIoU"]["difference"] - 10) < 1e-9, metrics["oIoU"]


def prediction(folder: Path) -> None:
    """With weights as a training writes them, of a network that was not trained."""
    import torch
    from toy import toy_params

    from harness.training.checkpoint import build_network, describe_network, save_checkpoint

    params = toy_params(folder)
    run("data", "source", "--params", "params.yaml", cwd=folder)
    run("prepare", "--params", "params.yaml", cwd=folder)
    torch.manual_seed(0)
    network = build_network(params, params.runs["mafn-full-s0"])
    save_checkpoint(network, folder / "w.safetensors", describe_network(params, "mafn-full-s0") | {"step": 0})
    image = next((folder / "drawn").rglob("*.jpg"))
    run(
        "predict",
        "--weights",
        "w.safetensors",
        "--text",
        "the red ship",
        str(image),
        "--out",
        "found",
        cwd=folder,
    )
    assert list((folder / "found").glob("*.mask.png"))
    assert all(json.loads(path.read_text()) for path in (folder / "found").glob("*.json"))


def main() -> None:
    """Run all in an empty folder."""
    package = Path(harness.__file__)
    assert package.is_relative_to(sys.prefix), f"harness is {package}, not one installed in {sys.prefix}"
    with tempfile.TemporaryDirectory() as name:
        for part in (commands_without_data, refusals, drawn_data, comparison_of_files, prediction):
            part(Path(name))
            print(f"{part.__name__.replace('_', ' ')}: works", flush=True)


if __name__ == "__main__":
    main()
