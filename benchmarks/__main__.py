"""`make bench`: speed as ratios measured in one run, so that they mean the same on another machine.

python -m benchmarks                 all of it, an hour and 15 GB of disk on two cores
python -m benchmarks networks        one part
python -m benchmarks networks mafn   one network of it
python -m benchmarks simulation 500  coverage of the intervals and size of the tests, with 500 replicates, not 5,000
python -m benchmarks rehearsal 1000  the data stages with 1,000 images in place of RRSIS-D's 17,402
"""

import sys

from benchmarks import loader, loop, networks, rehearsal, report, simulation, statistics

PARTS = {
    "loader": loader.run,
    "loop": loop.run,
    "networks": networks.run,
    "statistics": statistics.run,
    "report": report.run,
    "simulation": simulation.run,
    "rehearsal": rehearsal.run,
}


def main(arguments: list[str]) -> None:
    part, *names = arguments or [""]
    if part and part not in PARTS:
        sys.exit(f"there is no benchmark {part!r}; there are: {', '.join(PARTS)}")
    for name in [part] if part else list(PARTS):
        print(f"\n{name}\n{'-' * len(name)}", flush=True)
        PARTS[name](names)


if __name__ == "__main__":
    main(sys.argv[1:])
