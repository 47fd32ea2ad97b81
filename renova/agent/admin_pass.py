"""adminPass under profile nova: the guest agent of the new system sets it. Nothing here writes it down."""

from collections.abc import Mapping

from renova.agent.work import Work
from renova.image import promises_agent

# Seconds that a guest agent has to set a password: it starts a program in the guest, and the user may be yet
# to be made when it answers first.
SET = 30.0


async def set_admin_pass(work: Work, number: int) -> None:
    """The guest of this generation has the password of the request, if there is one; the event says so.

    A password that could not be set is no reason to take a rebuild back: the action's message tells it.
    """
    generation = work.generations[number]
    password, properties = generation.admin_pass, generation.image_properties
    if password is None:
        return
    user = user_of(properties)
    obstacle = await _set(work, properties, user, password)
    if obstacle is None:
        work.note(f"adminPass was set for the user {user}")
    else:
        line = f"adminPass was not applied: {obstacle}"
        work.note(line)
        work.tell(line)


def user_of(properties: Mapping[str, str]) -> str:
    """Whose password it is: Nova's rule (`set_admin_password` of its libvirt driver)."""
    default = "Administrator" if properties.get("os_type") == "windows" else "root"
    return properties.get("os_admin_user") or default


async def _set(work: Work, properties: Mapping[str, str], user: str, password: str) -> str | None:
    """Why it could not be set; None where it was."""
    machine = work.tools.hypervisor.get(work.action.server_id)
    if machine is None:
        return "the server is off"
    if not promises_agent(properties):
        return "the image does not say hw_qemu_guest_agent=yes"
    done = await work.unless_interrupted(machine.set_password(user, password, SET))
    return None if done else f"the guest agent did not set the password of {user}"
