"""docs/states.md, from the table of transitions: `python -m renova.compute.diagram > docs/states.md`."""

import sys
from collections import defaultdict
from collections.abc import Iterator

from renova.compute.states import REBUILD, STATUS, TRANSITIONS, Transition, VmState

HEAD = """# States of a server

What may be done with a server in each status, and where it leads when all goes well. While it is being
done, `task_state` is the name in parentheses, and nothing else can begin but what interrupts it: deleting
interrupts everything, a hard reboot a soft one. From every status a server can be deleted; those arrows are
left out.

What a failure leads to is not drawn: a rebuild, an undo, a resize and its reversal go back to where they came
from; of the others, what could not be built, stopped or rebooted is ERROR. [rebuild.md](rebuild.md) has the
details.

Made from `renova/compute/states.py` by `python -m renova.compute.diagram > docs/states.md`; do not edit.
"""


def page() -> str:
    """The whole page, with a state diagram in Mermaid's language."""
    words: dict[tuple[VmState, VmState], list[str]] = defaultdict(list)
    for name, transition in TRANSITIONS.items():
        for path in _paths(transition):
            words[path].append(f"{name} ({transition.task_state})")
    for path in set(_paths(REBUILD["nova"])) - set(_paths(REBUILD["noa"])):
        words[path].append("rebuild under profile nova")
    building, active = _status(VmState.BUILDING), _status(VmState.ACTIVE)
    lines = [f"    [*] --> {building}: create", f"    {building} --> {active}"]
    for source, target in sorted(words):
        if target != VmState.DELETED:
            label = ", ".join(sorted(words[source, target]))
            lines.append(f"    {_status(source)} --> {_status(target)}: {label}")
    return HEAD + "\n```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _paths(transition: Transition) -> Iterator[tuple[VmState, VmState]]:
    for source, targets in transition.paths.items():
        yield from ((source, target) for target in targets)


def _status(vm_state: VmState) -> str:
    """What a client sees while nothing is being done."""
    status, _ = STATUS[vm_state]
    return status


if __name__ == "__main__":
    sys.stdout.write(page())
