"""What a guest feels of an agent that is killed: nothing, and how long the silence was that shows it."""

import os
import signal
import time
from pathlib import Path

from bench.figures import Figures
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

TICKS = 10


def measure(cloud: Cloud, directory: Path, figures: Figures) -> None:
    """kill -9 of the agent under a guest that says a number each second. Ends the run where the guest is not
    the same after it, or is not managed again.
    """
    client = Client(cloud, directory)
    try:
        server_id = client.new(client.image("bench", Then.COUNT))
        client.wait_for_line(server_id, "tick")
        pid, agent = client.pid(server_id), int(cloud.state.pid_file("agent").read_text())
        os.kill(agent, signal.SIGKILL)
        with figures.measuring("s", "agent killed: longest silence of a guest that speaks each second") as (
            silence,
        ):
            silence.values.append(
                longest_gap(cloud.state.run_path / "servers" / server_id / "console.log", TICKS)
            )
        wait_until(lambda: client.act(server_id, "os-getConsoleOutput", {}).status_code == 200, "it answers")
        if client.pid(server_id) != pid:
            raise RuntimeError("the guest has another QEMU since its agent was killed")
        client.act(server_id, "reboot", {"type": "HARD"}).raise_for_status()
        client.wait(server_id, "ACTIVE")
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
