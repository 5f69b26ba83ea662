"""`harness predict`: masks of the objects that sentences mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from harness.predicting.inputs import Inputs, Pair
    from harness.predicting.outputs import Source
    from harness.predicting.pictures import Picture
    from harness.predicting.predictor import Prediction, Predictor

WIDTH = 80
MOST_ROWS = 50  # of the closing table
PIXELS_A_BATCH = 50_000_000  # of its images together, which bounds memory


@click.command(name="predict")
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@click.option(
    "--weights",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A run's model.safetensors, a converted file, or a released .pth.",
)
@click.option("--model", metavar="NAME", help="Refuse weights of another; by default what FILE holds.")
@click.option("--text", "sentences", multiple=True, metavar="SENTENCE", help="What to find; may be repeated.")
@click.option(
    "--pairs",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CSV",
    help="Columns image,sentence, paths relative to CSV; instead of IMAGE and --text.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the results go.",
)
@click.option(
    "--tokenizer",
    metavar="NAME_OR_FOLDER",
    help="For FILE without one (converted, released); by default bert-base-uncased.",
)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Pairs at a time.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: a GPU if there is one.",
)
def command(
    images: tuple[str, ...],
    weights: Path,
    model: str | None,
    sentences: tuple[str, ...],
    table: Path | None,
    out: Path,
    tokenizer: str | None,
    batch_size: int,
    device: str,
) -> None:
    """Find the object that a sentence means in images.

    IMAGE is a file, a folder (the images in it) or a pattern in quotes ("scenes/**/*.jpg"). Every pair of an image and
    a sentence gives files in DIR: STEM.mask.png (0 and 255, at the image's own size), STEM.overlay.jpg, STEM.json
    (area, box, confidence and where they come from), and for a GeoTIFF STEM.mask.tif with its georeference.

    STEM is the image's name and twelve digits of a hash of its path and the sentence. So no two pairs share a STEM,
    and the same pair has the same STEM again: its earlier results are replaced.
    """
    inputs = _inputs(images, sentences, table)
    if not inputs.pairs:
        _report(inputs.problems, 0)
    from harness.files import require_writable
    from harness.predicting.outputs import Source
    from harness.predicting.predictor import Predictor
    from harness.progress import Progress

    predictor = Predictor(weights, model, device, tokenizer)
    source = Source.of(predictor, weights)
    require_writable(out / "prediction.json")
    rows: list[Row] = []
    problems = list(inputs.problems)
    with Progress("predict", len(inputs.pairs), "pairs") as progress:
        for batch in _batches(predictor, inputs.pairs, batch_size, problems):
            rows += _predict(predictor, batch, out, source)
            progress.advance(units=len(rows) + len(problems) - len(inputs.problems) - progress.done)
    _print(rows, out)
    _report(problems, len(rows))


@dataclass(frozen=True)
class Row:
    """What is said of a prediction at the end; its mask and image are not kept."""

    image: str
    sentence: str
    area: int
    box: tuple[int, int, int, int] | None
    confidence: float | None
    notes: tuple[str, ...]

    @property
    def described(self) -> tuple[str, str]:
        """Box and confidence, for a table."""
        if self.box is None:
            return "nothing found", ""
        return " ".join(map(str, self.box)), f"{self.confidence:.2f}"

    @classmethod
    def of(cls, pair: "Pair", picture: "Picture", prediction: "Prediction") -> "Row":
        """The row of a pair."""
        from harness.predicting.inputs import shown

        notes = picture.notes
        if prediction.truncated:
            notes = (*notes, f'the sentence is too long; what was read of it: "{prediction.read}"')
        return cls(
            shown(pair.image),
            prediction.sentence,
            prediction.area,
            prediction.box,
            prediction.confidence,
            notes,
        )


def _inputs(images: tuple[str, ...], sentences: tuple[str, ...], table: Path | None) -> "Inputs":
    from harness.predicting.inputs import from_arguments, from_table

    if table is not None:
        if images or sentences:
            raise click.UsageError("--pairs has images and sentences: leave out IMAGE and --text")
        return from_table(table)
    if not images or not sentences:
        raise click.UsageError("name what to find and where: --text SENTENCE IMAGE..., or --pairs CSV")
    return from_arguments(images, sentences)


def _batches(
    predictor: "Predictor", pairs: "list[Pair]", batch_size: int, problems: list[str]
) -> "Iterator[list[tuple[Pair, Picture]]]":
    """The pairs that can be predicted, with their images; of the others `problems` is told why not."""
    from harness.errors import HarnessError
    from harness.predicting.pictures import read_picture

    read_once = lru_cache(maxsize=1)(read_picture)  # an image with several sentences
    batch: list[tuple[Pair, Picture]] = []
    pixels = 0
    for pair in pairs:
        try:
            predictor.read(pair.sentence)
            picture = read_once(pair.image)
        except HarnessError as error:
            problems.append(str(error))
            continue
        batch.append((pair, picture))
        pixels += picture.image.width * picture.image.height
        if len(batch) == batch_size or pixels >= PIXELS_A_BATCH:
            yield batch
            batch.clear()  # whoever has it holds the images no longer
            pixels = 0
    if batch:
        yield batch


def _predict(
    predictor: "Predictor", batch: "list[tuple[Pair, Picture]]", out: Path, source: "Source"
) -> list[Row]:
    from harness.predicting.outputs import write_prediction

    rows = []
    predictions = predictor.predict([(picture.image, pair.sentence) for pair, picture in batch], len(batch))
    for (pair, picture), prediction in zip(batch, predictions, strict=True):
        write_prediction(out, pair, picture, prediction, source)
        rows.append(Row.of(pair, picture, prediction))
    return rows


def _print(rows: list[Row], out: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    shown = rows[:MOST_ROWS]
    found = [(f"{row.area:,}", *row.described) for row in shown]
    numbers = ("area", "box x y w h", "confidence")
    widths = [max(map(len, column)) for column in zip(numbers, *found, strict=True)]
    free = WIDTH - sum(widths) - 3 * 5  # for the two columns of text; each of the five has 3 beside it
    names = [Path(row.image).name for row in shown]
    of_names = min(max(map(len, ["image", *names])), free // 2)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("image", no_wrap=True, overflow="ellipsis", width=of_names)
    table.add_column("sentence", no_wrap=True, overflow="ellipsis", max_width=free - of_names)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for row, name, cells in zip(shown, names, found, strict=True):
        table.add_row(Text(name), Text(" ".join(row.sentence.split())), *cells)
    Console(width=WIDTH, highlight=False).print(table)
    if len(rows) > MOST_ROWS:
        click.echo(f"and {len(rows) - MOST_ROWS:,} more")
    for image, note in dict.fromkeys((row.image, note) for row in rows for note in row.notes):
        click.echo(f"note: {image}: {note}", err=True)
    empty = sum(row.box is None for row in rows)
    nothing = f"; nothing was found in {empty:,}" if empty else ""
    click.echo(f"{len(rows):,} prediction{'s' * (len(rows) != 1)} in {out}{nothing}")


def _report(problems: list[str], done: int) -> None:
    """Raise what could not be predicted, all of it; an image once, however many sentences it has."""
    from harness.errors import HarnessError

    problems = list(dict.fromkeys(problems))
    if problems and not done and len(problems) == 1:
        raise HarnessError(problems[0])
    if problems:
        counted = "1 input" if len(problems) == 1 else f"{len(problems):,} inputs"
        others = "the others are done" if done else "nor any other"
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise HarnessError(f"{counted} could not be predicted, {others}:{listed}")
