"""Every command block of README.md and docs/*.md does what it says: it runs, or is checked without running.

Real blocks run in a copy of the project in which `make demo` has run. The blocks of a page share that copy and one
shell, in the order of the page. What a block installs goes to the copy's own environment.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from contextlib import suppress
from pathlib import Path

import pytest
from blocks import PAGES, Block, Wrong, check_line, command_lines, read_blocks
from toy import PROJECT

from harness.config import load_params

BLOCKS = {page: [block for block in read_blocks(page) if block.commands] for page in PAGES}
LEFT_OUT = (
    ".git",
    ".venv",
    "site",
    "data",
    "weights",
    ".*_cache",
    "__pycache__",
    "tmp",
    "training",
    "*.egg-info",
)
LIMIT = 300  # seconds of one block, on a busy machine


# What can be known at once: of blocks that run every harness line, of those that cannot every line.


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_line_is_right_as_far_as_can_be_told(page):
    for block in read_blocks(page):
        if block.run != "no":
            check_block(block)


def check_block(block: Block) -> None:
    """Raise Wrong for a command, an option or a syntax that does not exist; nothing is run."""
    if block.language == "python":
        compile(block.text, block.name, "exec")
    elif block.language == "sh":
        for words in command_lines(block.text):
            if block.run == "dry" or words[0] == "harness":
                check_line(words)


# Blocks in the order of their page. Of those that need a GPU, the internet or hours DVC shows what it would do.

BLOCKS_TO_RUN = [
    pytest.param(block, id=block.name)
    for blocks in BLOCKS.values()
    for block in blocks
    if block.run == "real" or (block.run == "dry" and "dvc repro" in block.text)
]


@pytest.mark.big
@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("block", BLOCKS_TO_RUN)
def test_block_does_what_it_says(block, pages):
    if block.run == "real":
        pages.run(block)
    else:
        pages.plan(block)


class Shell:
    """A bash that ends at the first command that fails; blocks come one by one and share its variables."""

    def __init__(self, folder: Path, scratch: Path):
        self.scratch = scratch
        self.python = ""  # the page's Python so far: its blocks share their names
        self.process = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, block: Block) -> None:
        """Run a block to its end. Raises Wrong with what it said where a command failed."""
        script, log = self.scratch / "block.sh", self.scratch / "block.log"
        text = block.text
        if block.language == "python":
            self.python += block.text
            source = self.scratch / "block.py"
            source.write_text(self.python)
            text = f"python {source}\n"
        script.write_text(text)
        log.write_text("")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(f"source {script} >{log} 2>&1 </dev/null; echo ended", file=self.process.stdin, flush=True)
            ended = self.process.stdout.readline() == "ended\n"
        except BrokenPipeError:
            ended = False
        if not ended:
            raise Wrong(f"{block.name} failed:\n{block.text}\n{log.read_text()[-4000:]}")

    def close(self) -> None:
        """End the shell and what it may have left running."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


class Pages:
    """The copy of the project and the shell of the page whose turn it is."""

    def __init__(self, base: Path, folder: Path):
        self.base, self.folder, self.project = base, folder, folder / "project"
        self.page: Path | None = None
        self.shell: Shell | None = None
        self.done: list[Block] = []

    def plan(self, block: Block) -> None:
        """Have DVC show what the block would do, after the blocks before it. Raises Wrong where it cannot."""
        self.run_before(block)
        for words in command_lines(block.text):
            if words[:2] == ["dvc", "repro"]:
                plan = [*words[:2], "--dry", "--allow-missing", *words[2:]]
                result = subprocess.run(
                    plan, cwd=self.project, env=environment(self.project), capture_output=True, text=True
                )
                if result.returncode:
                    raise Wrong(f"{block.name}: {' '.join(plan)}: {result.stdout}{result.stderr}")

    def run(self, block: Block) -> None:
        """Run a block after those before it on its page. Raises Wrong where a command fails."""
        self.run_before(block)
        self._run_once(block)

    def run_before(self, block: Block) -> None:
        """Turn to the block's page and run what stands before it."""
        if block.page != self.page or self.shell is None:
            self.turn_to(block.page)
        for one in BLOCKS[block.page]:
            if one.run == "real" and one.line < block.line:
                self._run_once(one)

    def _run_once(self, block: Block) -> None:
        if block not in self.done:
            self.done.append(block)
            assert self.shell is not None
            self.shell.run(block)

    def turn_to(self, page: Path) -> None:
        """A new copy, and a shell in it. It always lies in the same place, which its environment's scripts name."""
        self.close()
        drawn = (
            self.base / "out/embedded/raw"
        )  # thousands of files that no block changes, and no stage's output
        skip = shutil.ignore_patterns("raw")
        shutil.copytree(
            self.base,
            self.project,
            symlinks=True,
            ignore=lambda folder, names: skip(folder, names) if Path(folder) == drawn.parent else [],
        )
        if drawn.exists():
            (self.project / "out/embedded/raw").symlink_to(drawn)
        self.page, self.shell, self.done = page, Shell(self.project, self.folder), []

    def close(self) -> None:
        """End the shell, remove the copy."""
        if self.shell is not None:
            self.shell.close()
            self.shell = None
        if self.project.exists():
            shutil.rmtree(self.project)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The project as it is here, with what `make demo` has made, in a repository and an environment of its own."""
    folder = tmp_path_factory.mktemp("docs") / "base"
    shutil.copytree(PROJECT, folder, symlinks=True, ignore=left_out)
    make_environment(folder, folder.parent / "project")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "All"],
    ):
        subprocess.run(command, cwd=folder, env=environment(folder), check=True)
    return folder


def left_out(folder: str, names: list[str]) -> list[str]:
    """What a copy does without: environments, caches, what is large and no result."""
    below = Path(folder).relative_to(PROJECT)
    return [
        name
        for name in names
        if (below / name).as_posix() in LEFT_OUT
        or name == "__pycache__"
        or name.endswith(("_cache", ".egg-info"))
    ]


@pytest.fixture(scope="module")
def pages(base):
    demo_or_skip(base)
    pages = Pages(base, base.parent)
    yield pages
    pages.close()


def make_environment(project: Path, path: Path) -> None:
    """An environment over the one that the tests run in: it sees that one's packages, and new ones stay in it.

    Its scripts name `path`, where the copy will lie.
    """
    venv.create(project / ".venv", symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(project / ".venv"), "platbase": ""}))
    site.mkdir(parents=True, exist_ok=True)
    below = sysconfig.get_path("purelib")
    (site / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    scripts, here = project / ".venv/bin", Path(sys.executable).parent
    for script in here.iterdir():
        target = scripts / script.name
        if target.exists() or not script.is_file() or script.is_symlink():
            continue
        head = script.read_bytes()
        first = f"#!{here}/python".encode()
        if head.startswith(first):
            target.write_bytes(re.sub(rb"\A#!\S+", f"#!{path}/.venv/bin/python".encode(), head))
            target.chmod(0o755)
    activate = scripts / "activate"
    activate.write_text(activate.read_text().replace(str(project), str(path)))


def environment(project: Path) -> dict[str, str]:
    """Of a block: the copy's code and programs, no hub, no browser of somebody's, a home of its own."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    foreign = ("PYTEST_", "COV_", "GIT_", "MAKE")
    known = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return known | {
        "HOME": str(home),
        "PATH": f"{project}/.venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project),
        "BROWSER": "true",
        "HF_HUB_OFFLINE": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "OMP_NUM_THREADS": "1",
        **{f"GIT_{who}_{what}": "docs" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


def demo_or_skip(project: Path) -> None:
    """Real blocks start from what `make demo` made, all of it, of the code as it is."""
    params = load_params(PROJECT / "params.yaml")
    wanted = [
        "dvc.lock",
        "reports/html/index.html",
        *(f"{params.run_dir(run)}/metrics.json" for run in params.runs),
    ]
    if missing := [name for name in wanted if not (project / name).exists()]:
        pytest.skip(f"run `make demo` first: {missing[0]} does not exist")
    plan = subprocess.run(
        ["dvc", "repro", "--dry"], cwd=project, env=environment(project), capture_output=True, text=True
    )
    if "Data and pipelines are up to date." not in plan.stdout:
        pytest.skip("run `make demo` first: what it made is not of the code as it is (`dvc status`)")


# The runner can fail.


def page_of(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!-- run: later -->\n```sh\nls\n```\n", "no annotation"),
        ("<!-- run: no -->\n```sh\nls\n```\n", "no annotation"),
        ("<!-- run: dry -->\n\n```sh\nls\n```\n", "no annotation"),
        ("```sh\nls\n", "not closed"),
        ("```bash\nls\n```\n", "language 'bash'"),
        ("```\nharness models\n```\n", "without a language"),
    ],
)
def test_a_page_that_could_hide_a_block_is_refused(tmp_path, text, says):
    with pytest.raises(Wrong, match=says):
        read_blocks(page_of(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("harness compare mafn rmsin --colour red", "No such option"),
        ("harness compare", "Missing argument"),
        ("harness audit one.yaml two.yaml", "unexpected argument 'two.yaml'"),
        ("harness compare a b --split training", "is not one of"),
        ("harness data synth --refs many x", "not a valid integer"),
        ("harness predictions", "there is no command 'predictions'"),
        ("dvc repro --nothing", "no such command or option"),
        ("torchrun --nproc-per-node 2 -m harness train mafn-s0 --fast", "No such option"),
        ("make coffee", "no target 'coffee'"),
        ("pip install 'rrsis-harness[slurm,coffee]'", "no extra 'coffee'"),
        ("python -m benchmarks_of_ours", "no module"),
        ("sudo reboot", "no rule"),
    ],
)
def test_a_wrong_line_is_found_without_running_it(line, says):
    [words] = command_lines(f"A=1 {line} > out.txt  # a comment\n")
    with pytest.raises(Wrong, match=re.escape(says)):
        check_line(words)


def test_lines_are_split_as_the_shell_does():
    text = "cd x && harness models | head -3; VAR='a b' make \\\n  lint   # done\n"
    assert command_lines(text) == [["cd", "x"], ["harness", "models"], ["head", "-3"], ["make", "lint"]]


def test_blocks_share_a_shell_and_a_failing_command_fails_its_block(tmp_path):
    text = "```sh\nmkdir deep\ncd deep\nWORD=kept\n```\n```sh\ntest $WORD = kept\ntouch here\n```\n"
    text += "```python\nnumber = 6\n```\n```python\nopen('seven', 'w').write(str(number + 1))\n```\n"
    text += "```sh\nfalse | true\ntouch never\n```\n"
    blocks = read_blocks(page_of(tmp_path, text))
    shell = Shell(tmp_path, tmp_path)
    try:
        for block in blocks[:-1]:
            shell.run(block)
        with pytest.raises(Wrong, match=r"page.md:16 failed"):
            shell.run(blocks[-1])
    finally:
        shell.close()
    assert (tmp_path / "deep/here").exists()
    assert (tmp_path / "deep/seven").read_text() == "7"
    assert not (tmp_path / "deep/never").exists()
