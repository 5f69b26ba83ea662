"""`make bench`: speed as ratios measured in one run, so that they mean the same on another machine.

python -m benchmarks                 all of it, an hour and a half and 15 GB of disk on two cores
python -m benchmarks networks        one part
python -m benchmarks networks mafn   one network of it
python -m benchmarks simulation 500  coverage of the intervals and size of the tests, with 500 replicates, not 5,000
python -m benchmarks rehearsal 1000  the data stages with 1,000 images in place of RRSIS-D's 17,402

With --write the figures of whole parts replace their blocks in docs/.
"""

import sys

from benchmarks import loader, loop, networks, page, rehearsal, report, simulation, startup, statistics
from harness.errors import HarnessError

PARTS = {
    "startup": startup.run,
    "loader": loader.run,
    "loop": loop.run,
    "networks": networks.run,
    "statistics": statistics.run,
    "report": report.run,
    "simulation": simulation.run,
    "rehearsal": rehearsal.run,
}


def main(arguments: list[str]) -> None:
    write = "--write" in arguments
    part, *names = [argument for argument in arguments if argument != "--write"] or [""]
    if part and part not in PARTS:
        sys.exit(f"there is no benchmark {part!r}; there are: {', '.join(PARTS)}")
    if write and names:
        sys.exit(f"--write takes the whole of {part}, not {' '.join(names)}")
    chosen = [part] if part else list(PARTS)
    if write:
        for name in chosen:  # a page without the block is found before the hour, not after
            page.page_of(name)
    for name in chosen:
        print(f"\n{name}\n{'-' * len(name)}", flush=True)
        measured = page.circumstances()
        lines = page.printed(PARTS[name](names))
        if write:
            print(f"written: {page.write(name, lines, measured)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HarnessError as error:
        sys.exit(f"error: {error}")
