"""`make bench`: speed as ratios measured in one run, so that they mean the same on another machine.

python -m benchmarks            all of it, about two minutes on two cores
python -m benchmarks networks   one part
"""

import sys

from benchmarks import networks, statistics

PARTS = {"networks": networks.run, "statistics": statistics.run}


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in PARTS]:
        sys.exit(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(PARTS)}")
    for name in names or list(PARTS):
        print(f"\n{name}\n{'-' * len(name)}")
        PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
