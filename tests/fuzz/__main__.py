"""python tests/fuzz [NUMBER [SEED]]: hostile input at length; `make fuzz`. The tests run a short form of each."""

from __future__ import annotations

import sys

import configs
import data_files

PARTS = {"configs": (configs.run, 5000), "data files": (data_files.run, 2000)}
"""What is fuzzed, and with how many inputs."""


def main() -> int:
    number, seed = (int(argument) for argument in [*sys.argv[1:], "0", "0"][:2])
    failed = 0
    for name, (run, usual) in PARTS.items():
        report = run(number or usual, seed)
        print(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(report['counts'].items()))}")
        for failure in report["failures"]:
            print(f"  {failure}")
        failed += len(report["failures"])
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
