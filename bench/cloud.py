"""What a cloud of one machine takes: seconds until ready, memory at rest, and what a guest feels of a
killed agent.

    make bench

Everything is real and in a temporary directory. One line per figure; the machine's noise is in all of
them, so run it more than once. Whole-process figures of another run stand in docs/operations.md.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from renova.cloud.state import State
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import RENOVA, Cloud, free_port_offset, start_up, wait_until_ready
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

REST = 60
TICKS = 10


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="renova-bench-") as path:
        directory = Path(path)
        # PostgreSQL and QEMU run as users of their own, who have to get through.
        directory.chmod(0o711)
        state, log = State(directory / "state", free_port_offset()), directory / "up.log"
        for name in ("first", "second"):
            begun = time.monotonic()
            process = start_up(state.path, state.port_offset, log)
            wait_until_ready(state.path, process, log)
            print(f"{name} start to ready: {time.monotonic() - begun:.1f} s")
            if name == "first":
                process.terminate()
                process.wait()
        try:
            time.sleep(REST)
            print(f"memory {REST} s after ready, no server: {pss_of_tree(process.pid) / 1024:.0f} MiB PSS")
            measure_agent_restart(Cloud(state), directory)
        finally:
            subprocess.run([*RENOVA, "down", "--state", str(state.path)], check=True)
            process.wait()


def pss_of_tree(root: int) -> float:
    """KiB of a process and all below it: each shared page counted once (proc_pid_smaps_rollup(5))."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for directory in Path("/proc").glob("[0-9]*"):
        children[int((directory / "stat").read_text().rpartition(")")[2].split()[1])].append(
            int(directory.name)
        )
    tree = [root]
    for process in tree:
        tree += children[process]
    total = 0.0
    for process in tree:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


def measure_agent_restart(cloud: Cloud, directory: Path) -> None:
    """kill -9 of the agent under a guest that says a number each second."""
    client = Client(cloud, directory)
    try:
        server_id = client.new(client.image("bench", Then.COUNT))
        client.wait_for_line(server_id, "tick")
        pid, agent = client.pid(server_id), int(cloud.state.pid_file("agent").read_text())
        os.kill(agent, signal.SIGKILL)
        gap = longest_gap(cloud.state.run_path / "servers" / server_id / "console.log", TICKS)
        wait_until(lambda: client.act(server_id, "os-getConsoleOutput", {}).status_code == 200, "it answers")
        print(f"agent killed: longest silence of a guest that speaks each second: {gap:.2f} s")
        print(f"agent killed: the same QEMU: {client.pid(server_id) == pid}")
        client.act(server_id, "reboot", {"type": "HARD"}).raise_for_status()
        client.wait(server_id, "ACTIVE")
        print("agent killed: the server is managed again: True")
    finally:
        client.close()


def longest_gap(console: Path, lines: int) -> float:
    """Seconds of the longest silence while a guest says so many lines more."""
    said, since, gap = console.read_text().count("\n"), time.monotonic(), 0.0
    last = said + lines
    while said < last:
        time.sleep(0.01)
        now = console.read_text().count("\n")
        if now > said:
            gap, since, said = max(gap, time.monotonic() - since), time.monotonic(), now
    return gap


if __name__ == "__main__":
    main()
