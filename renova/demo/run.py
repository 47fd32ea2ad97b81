"""The demo as a program: its temporary directory, its signals and its exit status."""

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path

from renova.cloud.state import State
from renova.demo.cloud import free_port_offset
from renova.demo.progress import Progress
from renova.demo.story import Story
from renova.errors import RenovaError

INTERRUPTED = 128 + signal.SIGINT


def run(state_path: Path | None, port_offset: int | None) -> int:
    """Exit status: 0 only if everything is proved. `state_path` is left behind, without a running cloud."""
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="renova-demo-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        # PostgreSQL and QEMU run as users of their own, who pass through here.
        work.chmod(0o711)
        path = state_path.absolute().resolve() if state_path else work / "state"
        state = State(path, free_port_offset() if port_offset is None else port_offset)
        story = Story(state, work, progress)
        status = 1
        try:
            proved = asyncio.run(_tell(story))
        except RenovaError as error:
            progress.say(f"failed: {error.message}")
        except asyncio.CancelledError:
            status = INTERRUPTED
            progress.say("interrupted")
        else:
            status = 0 if proved else 1
            progress.say("proved: the same server, rebuilt, restored and undone" if proved else "NOT proved")
        if status == 1:
            progress.say(f"logs are in {_keep_logs(state, story)}")
    progress.say(f"took {progress.seconds:.0f} s")
    return status


async def _tell(story: Story) -> bool:
    _cancel_on_signals()
    return await story.tell()


def _keep_logs(state: State, story: Story) -> Path:
    kept = Path(tempfile.mkdtemp(prefix="renova-demo-logs-"))
    if (state.path / "logs").is_dir():
        shutil.copytree(state.path / "logs", kept, dirs_exist_ok=True)
    for name, text in story.consoles.items():
        (kept / f"console-{name}.log").write_text(text)
    return kept


def _cancel_on_signals() -> None:
    """SIGINT and SIGTERM cancel the caller, once: a second one must not cut the cleaning up short."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: print("still cleaning up", flush=True))
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, cancel)
