"""`harness report`: build the HTML report, look at it."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.group(name="report")
def command() -> None:
    """Build the HTML report and look at it."""


@command.command()
@params_option
@click.option(
    "--single-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the whole report into FILE, to be sent, in place of the pages.",
)
def build(params_path: Path, single_file: Path | None) -> None:
    """Write the report's pages: tables, significance, predictions, training, data, provenance."""
    import time

    from harness.config import load_params
    from harness.report.build import build_single_page, build_site

    started = time.monotonic()
    params = load_params(params_path)
    path = build_site(params) if single_file is None else build_single_page(params, single_file)
    pages = [path] if single_file else sorted(path.parent.glob("*.html"))
    size = sum(page.stat().st_size for page in pages)
    count = "1 page" if len(pages) == 1 else f"{len(pages)} pages"
    click.echo(f"{path}: {count}, {size / 1e6:.2f} MB, {time.monotonic() - started:.1f} s")


@command.command()
@params_option
@click.argument("name", metavar="NAME")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "markdown", "latex", "json"]),
    default="markdown",
    show_default=True,
    help="CSV and JSON have the numbers unrounded.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write there, not to stdout.",
)
def table(params_path: Path, name: str, form: str, out: Path | None) -> None:
    """Print one table of the report: 1, 2, 3, reproduction, significance, runs ... (any other name lists all)."""
    from harness.config import load_params
    from harness.files import atomic_write
    from harness.report.exports.catalog import EXPORTS, require_name
    from harness.report.exports.formats import FORMATS
    from harness.report.sections import read_inputs

    require_name(name)
    params = load_params(params_path)
    without_pictures = params.report.model_copy(update={"gallery": 0})
    inputs = read_inputs(params.model_copy(update={"report": without_pictures}))
    text = FORMATS[form](EXPORTS[name](inputs))
    if out is None:
        click.echo(text, nl=False)
        return
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    click.echo(f"{out}: {form}, {len(text.encode()):,} bytes", err=True)


@command.command(name="open")
@params_option
def open_(params_path: Path) -> None:
    """Open the report in the browser."""
    import webbrowser

    path = _index(params_path).resolve()
    if not webbrowser.open(path.as_uri()):
        click.echo(f"No browser was found. The report is {path}")


@command.command()
@params_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines read it.")
def serve(params_path: Path, port: int, host: str) -> None:
    """Serve the report's folder over HTTP until Ctrl-C."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    from harness.errors import HarnessError

    handler = partial(SimpleHTTPRequestHandler, directory=str(_index(params_path).parent))
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise HarnessError(
            f"cannot listen on {host}:{port} ({error.strerror}); --port 0 takes a free one"
        ) from None
    with server:
        click.echo(f"http://{host}:{server.server_address[1]}/  (Ctrl-C stops)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")


def _index(params_path: Path) -> Path:
    """The report's first page, which has to be there."""
    from harness.config import load_params
    from harness.errors import HarnessError

    path = load_params(params_path).report.html / "index.html"
    if not path.is_file():
        raise HarnessError(f"{path} does not exist; `harness report build` writes it")
    return path
