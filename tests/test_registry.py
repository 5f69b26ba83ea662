from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.registry import DATASETS, MODELS, Registry


def install(root: Path, package: str, entries: str, source: str = "") -> None:
    """Lay out what pip leaves of a package that declares entry points."""
    metadata = root / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[rrsis_harness.test]\n{entries}\n")
    (root / f"{package}.py").write_text(source)


@pytest.fixture
def registry() -> Registry:
    return Registry("rrsis_harness.test", "model")


def test_own_entries_are_declared() -> None:
    assert {"lavt", "mafn", "rmsin"} <= set(MODELS.names())
    assert "rrsis-d" in DATASETS.names()


def test_installed_package_adds_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    install(tmp_path, "thirdparty_a", "thirdnet = thirdparty_a:build", "def build():\n    return 'built'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.names() == ["thirdnet"]
    assert registry.load("thirdnet")() == "built"


def test_unknown_name_suggests_a_close_one() -> None:
    with pytest.raises(HarnessError, match=r"unknown model 'maffn'.*Did you mean 'mafn'.*lavt, mafn, rmsin"):
        MODELS.load("maffn")


def test_unknown_name_may_be_one_of_a_package_that_is_not_installed() -> None:
    with pytest.raises(HarnessError, match=r"unknown data set 'coldset'\..* `pip install --editable FOLDER`"):
        DATASETS.load("coldset")


def test_names_do_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    install(tmp_path, "thirdparty_b", "broken = thirdparty_b:build", "import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.names() == ["broken"]
    with pytest.raises(
        HarnessError, match=r"'broken' \(thirdparty_b:build\) cannot be imported.*no_such_module"
    ):
        registry.load("broken")


def test_two_packages_cannot_share_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    install(tmp_path, "thirdparty_c", "net = thirdparty_c:build")
    install(tmp_path, "thirdparty_d", "net = thirdparty_d:build")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HarnessError, match="more than once: thirdparty_c:build, thirdparty_d:build"):
        registry.load("net")


def test_empty_group_says_that_nothing_is_installed() -> None:
    with pytest.raises(HarnessError, match=r"Known: none\. One of another package"):
        Registry("rrsis_harness.nothing", "model").load("lavt")
