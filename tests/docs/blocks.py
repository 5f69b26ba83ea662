"""The command blocks of a Markdown page: what they are, and what of them is checked without running them.

A fenced block of language sh or python runs. `<!-- run: dry -->` on the line before the fence: its lines are checked
against the options of what they call. `<!-- run: no, REASON -->`: it is only read. Other blocks hold no commands.
"""

import importlib.util
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
from toy import PROJECT

from harness.cli import cli

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
ANNOTATION = re.compile(r"\s*<!-- run: (dry|no, \S.*) -->")
LANGUAGES = ("sh", "python", "text", "yaml", "toml", "csv", "json", "bibtex", "html", "latex")
FOREIGN = (
    "sbatch",
    "squeue",
    "scancel",
    "scontrol",
    "nvidia-smi",
    "ssh",
)  # of other projects: nothing to check here
SHELL = ("cd", "mkdir", "cp", "mv", "ls", "cat", "head", "export", "source", "git", "unzip", "echo")


class Wrong(Exception):
    """A page or a line of it is not as it should be."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what is in it, and how it is run: real, dry or no."""

    page: Path
    line: int  # of the opening fence
    language: str
    text: str
    run: str

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> bool:
        return self.language in ("sh", "python")


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page. Raises Wrong for an annotation or a language that nothing is known of."""
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = re.fullmatch(r"(\s*)(`{3,})(\w*).*", lines[number])
        if opening is None:
            if "<!-- run:" in lines[number] and not (
                ANNOTATION.fullmatch(lines[number]) and number + 1 < len(lines) and "```" in lines[number + 1]
            ):
                raise Wrong(f"{page.name}:{number + 1}: {lines[number].strip()} is no annotation of a block")
            number += 1
            continue
        start, (indent, fence, language) = number, opening.groups()
        number += 1
        while number < len(lines) and lines[number].strip() != fence:
            number += 1
        if number == len(lines):
            raise Wrong(f"{page.name}:{start + 1}: the block is not closed")
        text = "\n".join(line.removeprefix(indent) for line in lines[start + 1 : number]) + "\n"
        annotation = ANNOTATION.fullmatch(lines[start - 1]) if start else None
        run = "real" if annotation is None else annotation[1].partition(",")[0]
        block = Block(page, start + 1, language, text, run)
        _refuse_hidden_commands(block)
        blocks.append(block)
        number += 1
    return blocks


def _refuse_hidden_commands(block: Block) -> None:
    if block.language and block.language not in LANGUAGES:
        raise Wrong(f"{block.name}: language {block.language!r}; one of {', '.join(LANGUAGES)}")
    if not block.language and re.search(r"^\s*(\$ |harness |dvc |make |pip )", block.text, re.MULTILINE):
        raise Wrong(
            f"{block.name}: commands in a block without a language; ```sh has them run, ```text says output"
        )


def command_lines(text: str) -> list[list[str]]:
    """The commands of a shell block as words, without comments, assignments before a command and redirections."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        tokens = list(lexer)
        while tokens:
            token = tokens.pop(0)
            if set(token) <= set(";&|"):
                found.append(words)
                words = []
            elif set(token) <= set("<>"):
                tokens = tokens[1:]  # and the file after it
            else:
                words.append(token)
        found.append(words)
    stripped = [_without_assignments(words) for words in found]
    return [words for words in stripped if words]


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        words = words[1:]
    return words


def check_harness(words: list[str]) -> None:
    """Parse `harness ...` as click does: commands, options, their values, required arguments. Nothing is called.

    Paths need not exist.
    """
    command, context, rest = cli, click.Context(cli, info_name="harness"), words[1:]
    try:
        while True:
            values, rest, _ = command.make_parser(context).parse_args(args=list(rest))
            if not isinstance(command, click.Group):
                break
            if not rest:
                return  # `harness data` prints its help
            name, inner, rest = command.resolve_command(context, rest)
            command, context = inner, click.Context(inner, info_name=name, parent=context)
        if "help" in values:
            return
        if rest:
            raise click.UsageError(f"unexpected argument {rest[0]!r}", context)
        for parameter in command.params:
            value = values.get(parameter.name)
            if value in (None, (), []) or repr(value) == "Sentinel.UNSET":
                if parameter.required:
                    raise click.MissingParameter(ctx=context, param=parameter)
            elif not isinstance(parameter.type, click.Path | click.File) and not getattr(
                parameter, "is_flag", False
            ):
                parameter.type_cast_value(context, value)
    except click.UsageError as error:
        raise Wrong(f"{shlex.join(words)}: {error.format_message()}") from None


def check_line(words: list[str]) -> None:
    """What can be known of one command without running it. Raises Wrong."""
    match words:
        case ["harness", *_]:
            check_harness(words)
        case ["dvc", *arguments]:
            _check_dvc(arguments)
        case ["torchrun", *arguments]:
            _check_torchrun(arguments)
        case ["make", *targets]:
            makefile = (PROJECT / "Makefile").read_text()
            for target in targets:
                if "=" not in target and not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
                    raise Wrong(f"the Makefile has no target {target!r}")
        case ["pip", "install", *arguments]:
            _check_extras(arguments)
        case ["python", "-m", module, *_]:
            if importlib.util.find_spec(module) is None:
                raise Wrong(f"there is no module {module}")
        case ["python", "-c", *_]:
            pass
        case ["pytest", *arguments]:
            for path in arguments:
                if path.startswith("tests/") and not (PROJECT / path.partition("::")[0]).exists():
                    raise Wrong(f"there is no {path}")
        case [name, *_] if name in FOREIGN or name in SHELL:
            pass
        case _:
            raise Wrong(
                f"no rule says how {shlex.join(words)} is checked without running it: tests/docs/blocks.py"
            )


def _check_dvc(arguments: list[str]) -> None:
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    try:
        get_main_parser().parse_args(arguments)
    except DvcParserError:
        raise Wrong(f"dvc {shlex.join(arguments)}: dvc has no such command or option") from None


def _check_torchrun(arguments: list[str]) -> None:
    from torch.distributed.run import get_args_parser

    try:
        parsed = get_args_parser().parse_args(arguments)
    except SystemExit:
        raise Wrong(f"torchrun {shlex.join(arguments)}: torchrun has no such option") from None
    check_harness(["harness", *parsed.training_script_args])


def _check_extras(arguments: list[str]) -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for argument in arguments:
        if named := re.fullmatch(r"(?:rrsis-harness|\.)\[(.+)\]", argument):
            for extra in named[1].split(","):
                if extra not in extras:
                    raise Wrong(f"{argument}: there is no extra {extra!r}; {', '.join(extras)}")
