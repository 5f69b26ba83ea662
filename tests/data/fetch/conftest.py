"""A drawn data set in RRSIS-D's layout, the archives that mirrors make of it, and a server for them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packing import zipped
from serving import serving

from harness.commands.fetch import missing_from
from harness.config import Source
from harness.data.drawing.synthetic import write_dataset
from harness.data.fetch import FetchReport, fetch
from harness.data.refer import RRSISD


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """12 drawn images with their tables and boxes; do not change its files."""
    root = tmp_path_factory.mktemp("drawn") / "set"
    write_dataset(root, refs=12, size=64, seed=5, workers=1)
    boxes = root / "images/rrsisd/ann_split"
    boxes.mkdir(parents=True, exist_ok=True)
    for image in (root / "images/rrsisd/JPEGImages").iterdir():
        (boxes / f"{image.stem}.xml").write_text(f"<annotation>{image.name}</annotation>")
    return root


@pytest.fixture(scope="session")
def files(drawn) -> dict[str, bytes]:
    """Relative path -> content of the files of the data set."""
    return {
        name: path.read_bytes()
        for path in sorted(drawn.rglob("*"))
        if path.is_file() and RRSISD.place(name := path.relative_to(drawn).as_posix()) == name
    }


@pytest.fixture(scope="session")
def mirror(files) -> bytes:
    """One zip of 2 MB, nested as nobody expects, with files that do not belong to the set."""
    return zipped({f"RRSIS-D/new/{name}": content for name, content in files.items()}, padding=2_000_000)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@dataclass
class Fetching:
    """`fetch` of RRSIS-D's layout into `root`, and what it said."""

    root: Path
    lines: list[str] = field(default_factory=list)

    def __call__(self, *sources: str | Path | Source, **options) -> FetchReport:
        return fetch(
            self.root,
            [one if isinstance(one, Source) else source(one) for one in sources],
            place=RRSISD.place,
            required=RRSISD.tables,
            missing=missing_from(RRSISD),
            way_out="name their folder or archive with --from",
            **{"say": self.lines.append, "pause": 0.01, **options},
        )

    @property
    def staging(self) -> Path:
        return self.root.parent / f".{self.root.name}.fetch"

    def content(self) -> dict[str, bytes]:
        """Relative path -> content of the data set's files in the target."""
        return {
            name: path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
            and (name := path.relative_to(self.root).as_posix()) not in (".fetch.json", "SHA256SUMS")
        }

    def partial(self) -> int:
        """Bytes of the partial downloads."""
        return sum(path.stat().st_size for path in self.staging.rglob("*.part") if path.is_file())


def source(place: str | Path) -> Source:
    return Source(url=place) if isinstance(place, str) else Source(path=place)


@pytest.fixture
def fetching(tmp_path) -> Fetching:
    return Fetching(tmp_path / "target")
