import pytest
from click.testing import CliRunner

from harness.commands.models import command
from harness.complexity import Complexity, complexity, shown_gflop
from harness.errors import HarnessError
from harness.registry import Registry


@pytest.mark.big
def test_the_networks_are_listed_with_their_sizes_beside_the_released():
    result = CliRunner().invoke(command, ["--params", "params.yaml"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith(" mafn-full ")).split()
    assert row[:3] == ["mafn-full", "295,934,759", "85%"]
    assert float(row[3]) <= 650
    assert row[4] == "78%"
    ablation = next(line for line in lines if line.startswith(" mafn-k13 "))
    assert "an ablation" in ablation
    assert "%" not in ablation


def test_outside_the_project_the_registered_models_are_listed(tmp_path):
    result = CliRunner().invoke(command, ["--params", str(tmp_path / "none.yaml"), "--preset", "mini"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines() if "the same, smaller" in line]
    assert names == ["lavt", "mafn", "rmsin"]


def test_a_preset_that_no_network_has():
    result = CliRunner().invoke(command, ["--preset", "swin-x"])
    assert isinstance(result.exception, HarnessError)
    assert "unknown preset 'swin-x'; known are swin-b, mini" in str(result.exception)


def test_every_network_is_given_a_vocabulary(monkeypatch, tmp_path):
    given = []

    def counted(name, *, preset, image_size, options):
        given.append(options["vocab_size"])
        if name == "rmsin":
            raise HarnessError("no such thing")
        return Complexity(1, 1)

    monkeypatch.setattr("harness.complexity.complexity", counted)
    for preset, size in (("swin-b", 30522), ("mini", 400)):
        given.clear()
        result = CliRunner().invoke(command, ["--params", str(tmp_path / "none.yaml"), "--preset", preset])
        assert set(given) == {size}
        assert "cannot be built: rmsin: no such thing" in result.stderr
        assert " lavt " in result.stdout
        assert result.exit_code == 1


def test_a_long_name_of_a_package_does_not_cut_the_figures(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "harness.complexity.complexity", lambda *_, **__: Complexity(225_642_362, 374_000_000_000)
    )
    monkeypatch.setattr("harness.models.list_models", lambda: ["lavt", "another_network"])
    monkeypatch.setattr(Registry, "package", lambda *_: "another-package-of-networks")
    result = CliRunner().invoke(command, ["--params", str(tmp_path / "none.yaml")])
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.count(" 374.0 ") == 2
    assert "…" not in result.stdout


def test_operations_are_shown_with_two_digits_at_least():
    assert [shown_gflop(n) for n in (622_490_506_520, 150_000_000, 8_100_000)] == ["622.5", "0.15", "0.0081"]


def test_operations_of_a_linear_layer_grow_with_the_image():
    options = {"vocab_size": 50}
    small, large = (complexity("lavt", preset="mini", image_size=side, options=options) for side in (96, 192))
    assert small.parameters == large.parameters
    assert 3.5 < large.flops / small.flops < 4.1
