"""`./dev bench [NAME ...] [--quick] [--json FILE]`: measure, print a table, save the figures."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.results import Result, show, write_json
from benchmarks.session import QUICK, Plan, Session, say
from benchmarks.suites import BENCHMARKS

RESULTS = Path(__file__).parent / "results"


def measure(plan: Plan, names: Sequence[str], folder: Path | None = None) -> Iterator[Result]:
    """Run the named benchmarks, or all, on one PostgreSQL."""
    with Session.open(plan, folder) as session:
        for name in names or BENCHMARKS:
            began = time.perf_counter()
            yield from BENCHMARKS[name](session)
            say(f"{name}: {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Parse the arguments, measure and report; an interrupted run reports what it has."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="three minutes: at most 50,000 images, short rounds")
    parser.add_argument("--json", type=Path, default=RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json", metavar="FILE")
    parser.add_argument("--folder", type=Path, help="folder for temporary data: 5 GB in a full run")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: choose from {', '.join(BENCHMARKS)}")
    plan = QUICK if arguments.quick else Plan()
    results: list[Result] = []
    try:
        with suppress(KeyboardInterrupt):
            results.extend(measure(plan, arguments.names, arguments.folder))
    finally:
        show(results)
        write_json(arguments.json, results, asdict(plan))
        say(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
