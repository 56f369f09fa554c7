"""python tests/fuzz [NUMBER] [SEED]: hostile input at length; `make fuzz`. The tests run a short form of each."""

from __future__ import annotations

import sys

import configs


def main() -> int:
    number, seed = (int(argument) for argument in [*sys.argv[1:], "5000", "0"][:2])
    failed = 0
    for name, part in {"configs": configs}.items():
        report = part.run(number, seed)
        print(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(report['counts'].items()))}")
        for failure in report["failures"]:
            print(f"  {failure}")
        failed += len(report["failures"])
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
