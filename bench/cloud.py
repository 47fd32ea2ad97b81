"""The cloud that is measured: its own, in a directory that goes with it. How long it takes to start, and what
it takes of the memory.
"""

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.figures import Figures
from renova.cloud.state import State
from tests.functional.shared_cloud import Cloud, free_port_offset, start_up, stop, wait_until_ready
from tests.waiting import wait_until

# What differs from the defaults, and why: docs/performance.md, "How it is measured".
LOCAL = {
    # A guest of one boot sector has no partition table. A disk of holes is stored as one.
    "glance": """\
[image_format]
gpt_safety_checks_nonfatal = mbr
[file]
filesystem_thin_provisioning = true
""",
    "renova": """\
[compute]
accelerator = tcg
shutdown_timeout = 0
[rebuild]
settle = 0
[agent]
reserve_mb = 64
[quota]
instances = -1
cores = -1
ram = -1
""",
}


@contextmanager
def measured(directory: Path, figures: Figures) -> Iterator[Cloud]:
    """A running cloud, started twice: the second start finds everything made."""
    state, log = State(directory / "state", free_port_offset()), directory / "up.log"
    local = state.path / "local"
    local.mkdir(mode=0o711, parents=True)
    state.path.chmod(0o711)
    for name, text in LOCAL.items():
        (local / f"{name}.conf").write_text(text)
    _timed_start(state, log, figures, "first start to ready").terminate()
    wait_until(lambda: not state.pid_file("up").exists(), "the first has ended")
    process = _timed_start(state, log, figures, "second start to ready")
    try:
        yield Cloud(state)
    finally:
        stop(state.path, process)


def _timed_start(state: State, log: Path, figures: Figures, name: str) -> subprocess.Popen[str]:
    with figures.measuring("s", name) as (figure,):
        begun = time.monotonic()
        process = start_up(state.path, state.port_offset, log)
        wait_until_ready(state.path, process, log)
        figure.values.append(time.monotonic() - begun)
    return process


def measure_memory(cloud: Cloud, figures: Figures, rest: float) -> None:
    """Of everything that `renova up` has started, no server among it, after so many seconds."""
    time.sleep(rest)
    root = int(cloud.state.pid_file("up").read_text())
    with figures.measuring("MiB", "whole cloud idle (PSS)") as (figure,):
        figure.values.append(pss_of_tree(root) / 1024)


def pss_of_tree(root: int) -> float:
    """KiB of a process and all below it: each shared page counted once (proc_pid_smaps_rollup(5))."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # Somebody else's, which has just ended.
            continue
        children[parent].append(int(directory.name))
    tree = [root]
    for process in tree:
        tree += children[process]
    total = 0.0
    for process in tree:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


@contextmanager
def database(cloud: Cloud) -> Iterator[psycopg.Connection]:
    """Renova's own database, each statement a transaction."""
    url = cloud.state.database_url("renova", "psycopg").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
