"""Measure a cloud of its own, and bare QEMU beside it, against the goals.

    make bench [ROWS=words] [QUICK=1]

ROWS picks the parts whose name has one of these words: memory, agent, requests, rebuild, mass, floor, rows,
clients, images. QUICK measures everything a few times only, to see that it works. All is real and in a
temporary directory. The machine's noise is in all of it, hence the load beside every figure, and bare QEMU in
the same run. A guest that does not speak ends the run: then nothing is written.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import agent_restart, cloud, goals, growth, rebuilds, requests
from bench.figures import Figures
from bench.servers import Servers
from tests.functional.shared_cloud import Cloud

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="", help="only the parts with one of these words, a comma between")
    parser.add_argument("--quick", action="store_true", help="each only a few times")
    options = parser.parse_args()
    # Whoever ends this ends the cloud too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    figures, begun = Figures(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="renova-bench-") as path:
        directory = Path(path)
        # PostgreSQL and QEMU run as users of their own, who have to get through.
        directory.chmod(0o711)
        with cloud.measured(directory, figures) as running:
            _measure(running, directory, figures, options.rows, quick=options.quick)
    print(f"\n{goals.table(figures)}\n")
    print(f"in {time.monotonic() - begun:.0f} s: {_write(figures, quick=options.quick)}")
    return 0


def _measure(running: Cloud, directory: Path, figures: Figures, rows: str, *, quick: bool) -> None:
    def picked(*names: str) -> bool:
        return any(word in name for word in rows.split(",") for name in names)

    if picked("memory"):
        cloud.measure_memory(running, figures, rest=5 if quick else 60)
    if picked("agent"):
        agent_restart.measure(running, directory, figures)
    servers = Servers(running, directory)
    many, seconds = (8, 1.0) if quick else (40, 5.0)
    count, rounds = (5, 1) if quick else (100, 3)
    if picked("requests"):
        (guest,) = servers.make(1)
        with cloud.database(running) as database:
            requests.fill(database, guest.id, requests.LISTED)
            requests.measure(servers, figures, count, seconds)
            requests.empty(database)
    if picked("rebuild"):
        rebuilds.measure_single(servers, figures, count)
    if picked("rows"):
        growth.with_rows(servers, figures, (10, 100, 1000), 3 if quick else 30)
    if picked("images"):
        growth.with_images(servers, figures, (64,) if quick else (64, 256, 1024, 2048))
    if picked("clients"):
        growth.with_clients(servers, figures, (1, 4) if quick else (1, 2, 4, 8, 16), seconds)
    if picked("mass"):
        rebuilds.measure_mass(servers, figures, many, rounds)
    if picked("floor", "rebuild", "mass"):
        # The cloud's guests halt, and cost nothing from here on.
        rebuilds.measure_floor(figures, count, many, rounds)


def _write(figures: Figures, *, quick: bool) -> Path:
    """One file for a run, named by its time and its commit. It tells nothing of whose machine it was."""
    now, commit = datetime.now(UTC), _git("rev-parse", "--short", "HEAD")
    result: dict[str, Any] = {
        "ended": now.isoformat(timespec="seconds"),
        "commit": commit + ("+" if _git("status", "--porcelain", "renova") else ""),
        "quick": quick,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "qemu": _qemu_version()},
        "figures": [figure.summary() for figure in figures.measured],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y-%m-%dT%H%M%S}-{commit}{'-quick' if quick else ''}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    return file


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _qemu_version() -> str:
    said = subprocess.run(["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True)
    return said.stdout.split()[3]


if __name__ == "__main__":
    sys.exit(main())
