"""Everything that can go wrong in a rebuild goes wrong, in every step, and then at random.

    make chaos [STATE=dir] [PORT_OFFSET=n] [SEED=n] [SECONDS_RANDOM=n] [CELLS=words]

Ends with 0 if no server was lost, none is stuck, nothing is left over and every fault has fired.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from chaos import matrix, storm
from chaos.cells import FULL_DISK, Cell, every_cell
from chaos.cloud import ChaosCloud, small_disk
from chaos.matrix import Outcome
from chaos.report import Report
from chaos.servers import Owner
from tests.functional.shared_cloud import free_port_offset


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--state", type=Path, help="where the cloud is made, and left (default: temporary)")
    parser.add_argument("--port-offset", type=int, help="added to every port (default: one that is free)")
    parser.add_argument("--seed", type=int, help="of the random part (default: a new one, which is told)")
    parser.add_argument("--seconds-random", type=float, default=120, help="how long the random part goes on")
    parser.add_argument("--cells", default="", help="only the cells whose line has all of these words")
    parser.add_argument(
        "--method",
        choices=["auto", "respawn"],
        default="auto",
        help="the [rebuild] method (%(default)s)",
    )
    options = parser.parse_args()
    # Whoever ends this ends the cloud too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    begun = time.monotonic()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    with ExitStack() as stack:
        home = options.state
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="renova-chaos-")))
        elif home.exists():
            parser.error(f"{home} is there already; choose a new directory")
        home.mkdir(parents=True, exist_ok=True)
        # PostgreSQL and QEMU run as users of their own, who have to get through.
        home.chmod(0o711)
        offset = free_port_offset() if options.port_offset is None else options.port_offset
        cloud = ChaosCloud(home.resolve(), offset, options.method)
        report = Report()
        wanted = [
            cell for cell in every_cell() if all(word in str(cell) for word in options.cells.split(","))
        ]
        if not stack.enter_context(small_disk(cloud)):
            wanted = _without_full_disk(wanted, report)
        cloud.make()
        stack.callback(cloud.stop)
        cloud.start()
        owner = Owner(cloud)
        for batch in matrix.batches(wanted):
            report.add(matrix.run_batch(owner, batch))
        print(f"at random: SEED={seed}, {options.seconds_random:.0f} s", flush=True)
        report.add(storm.rage(owner, random.Random(seed), options.seconds_random))
        report.add([_nothing_is_left(owner)])
        status = report.end()
        print(f"in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return status


def _without_full_disk(cells: list[Cell], report: Report) -> list[Cell]:
    rest = [cell for cell in cells if cell.fault != FULL_DISK]
    if len(rest) < len(cells):
        report.skip(f"{len(cells) - len(rest)} cells with a full disk: only root may mount a small one")
    return rest


def _nothing_is_left(owner: Owner) -> Outcome:
    """Every server is deleted: then the checker, who is told to expect none, must find nothing at all."""
    begun = time.monotonic()
    owner.close()
    owner.guests.clear()
    complaints = matrix.checker(owner)["complaints"]
    return Outcome("every server is deleted", "deleted", "", "", time.monotonic() - begun, "", complaints)


if __name__ == "__main__":
    sys.exit(main())
