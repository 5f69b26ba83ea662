"""`harness check`: the regression gate."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from harness.commands import params_option
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.config import Params
    from harness.gate.outcome import Outcome

EXIT_FAILED = 1
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="check")
@click.option("--layer", type=click.Choice(["exact", "retrained", "all"]), default="all", show_default=True)
@params_option
@click.option(
    "--reference",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports/reference"),
    show_default=True,
    help="The committed reference.",
)
@click.option("--junit", type=FILE, help="Also write the checks as JUnit XML.")
@click.option("--markdown", type=FILE, help="Also write a summary for a pull request.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--update",
    is_flag=True,
    help="Make the evaluated runs the reference and say what changed. With --layer exact: only what follows from the "
    "masks and tables that are committed, so nothing need be trained.",
)
@click.option(
    "--seed-runs",
    type=FILE,
    help="With --update: an evaluated profile of the same networks with five seeds, to measure seed noise on. "
    "Without it the noise in the reference stays.",
)
def command(
    layer: str,
    params_path: Path,
    folder: Path,
    junit: Path | None,
    markdown: Path | None,
    form: str,
    update: bool,
    seed_runs: Path | None,
) -> None:
    """Check what the code computes now against the committed reference; exit 1 if something got worse.

    Exact layer: metrics, tests and tables recomputed from the committed predictions must be what they were. Retrained
    layer: the evaluated runs of Table I must not be worse than the committed tables by more than seeds make.
    """
    # Before numpy comes in: products this small gain nothing from a second thread and lose much on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from harness.config import load_params

    if seed_runs is not None and not update:
        raise click.UsageError("--seed-runs measures seed noise for a new reference: give --update, too")
    if seed_runs is not None and layer == "exact":
        raise click.UsageError("--seed-runs is about the retrained layer: give it without --layer exact")
    if update and (layer == "retrained" or junit or markdown or form != "table"):
        raise click.UsageError(
            "--update writes and checks nothing; of the options it takes --layer exact at most"
        )
    params = load_params(params_path)
    if update:
        _update(params, folder, layer, seed_runs)
        return
    from harness.files import atomic_write, require_writable

    written = {path: content for path, content in ((junit, "to_junit"), (markdown, "to_markdown")) if path}
    for path in written:
        require_writable(path)
    outcome = _check(params, folder, layer)
    if form == "json":
        import json

        print(json.dumps(outcome.to_dict(), indent=1, ensure_ascii=False))
    else:
        from harness.gate.view import show

        show(outcome)
    for path, method in written.items():
        content = getattr(outcome, method)()
        with atomic_write(path) as temporary:
            temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    if not outcome.passed:
        sys.exit(EXIT_FAILED)


def _check(params: "Params", folder: Path, layer: str) -> "Outcome":
    from harness.gate.exact import check_exact
    from harness.gate.outcome import Check, Outcome
    from harness.gate.reference import SchemaChanged, read_reference
    from harness.gate.retrained import check_retrained, check_settings, notes

    title = f"{params.profile}, test, resized against {folder.as_posix()}"
    try:
        reference = read_reference(folder)
    except SchemaChanged as error:
        return Outcome(title, (Check("reference", "schema", False, "changed", (str(error),)),))
    checks = [Check("reference", "schema", True, "unchanged"), check_settings(params, reference)]
    said: tuple[str, ...] = ()
    if layer != "retrained":
        checks += check_exact(params, reference)
    if layer != "exact":
        found = check_retrained(params, reference)
        checks += found
        said = notes(reference, found)
    return Outcome(title, tuple(checks), said)


def _update(params: "Params", folder: Path, layer: str, seed_runs: Path | None) -> None:
    from harness.config import load_params
    from harness.gate.reference import read_reference, write_reference
    from harness.gate.update import changes, make_reference, recomputed, same

    old, damaged = None, None
    try:
        old = read_reference(folder) if folder.exists() else None
    except HarnessError as error:
        damaged = error
    if layer == "exact":
        new = recomputed(params, read_reference(folder))
    elif seed_runs is not None:
        new = make_reference(params, load_params(seed_runs))
    elif old is not None:
        new = make_reference(params, old.settings.noise)
    else:
        problem = damaged or f"there is no reference {folder}"
        raise HarnessError(
            f"{problem}\nThere is no seed noise to keep, so --update needs --seed-runs PARAMS, an evaluated profile of "
            "the same networks with five seeds"
        )
    if same(old, new):
        print(f"{folder}: nothing changed")
        return
    write_reference(new, folder)
    if damaged is not None:
        print(f"The old one could not be read: {damaged}")
    print(f"{folder} written; what changed:")
    for line in changes(old, new):
        print(f"  {line}")
