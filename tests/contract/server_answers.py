"""What Nova answers about a server, field by field: from which microversion on, in which answers, to whom.

Written from Nova's API reference ("Servers (servers)", "Servers - run an action (servers, action)") and the
published samples that stand beside the fields (doc/api_samples/servers unless another directory is named). It
takes nothing from renova.api, so that the two can disagree. Numbers are the minors of 2.x.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tests.contract import forms
from tests.contract.forms import Schema, array, closed, closed_from, mapping, one_of, or_null, text

NEWEST = 104
ANSWERS = ("show", "detail", "update", "rebuild")
VIEWERS = ("member", "admin")
# What only some servers have: a network card; a status in which progress is told; a fault.
STATES = ("networked", "progressing", "faulty")


@dataclass(frozen=True)
class Field:
    """A member of the object `server`. `since` names the answers that have it, and from which minor on."""

    name: str
    form: Schema
    since: Mapping[str, int]
    last: int = NEWEST
    viewers: Collection[str] = VIEWERS
    state: str | None = None

    def is_in(self, answer: str, minor: int, viewer: str, states: Collection[str]) -> bool:
        return (
            answer in self.since
            and self.since[answer] <= minor <= self.last
            and viewer in self.viewers
            and (self.state is None or self.state in states)
        )


def in_all(first: int = 1) -> dict[str, int]:
    return dict.fromkeys(ANSWERS, first)


def in_whole(first: int = 1) -> dict[str, int]:
    """Show and detail, and update and rebuild since 2.75 (v2.75/server-update-resp)."""
    return {answer: first if answer in ("show", "detail") else max(first, 75) for answer in ANSWERS}


STATUS = one_of(
    *("ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT"),
    *("REBUILD", "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF"),
    *("SOFT_DELETED", "SUSPENDED", "UNKNOWN", "VERIFY_RESIZE"),
)
POWER_STATE = {"type": "integer", "enum": [0, 1, 3, 4, 6, 7], "examples": [1]}
VOLUMES = array(closed(id=text("volume_id1")))
VOLUMES_SINCE_2_3 = array(closed(id=text("volume_id1"), delete_on_termination=forms.SWITCH))
HOST = "OS-EXT-SRV-ATTR:"
ADMINS = ("admin",)

FIELDS = (
    # server-get-resp, server-update-resp, server-action-rebuild-resp, servers-details-resp
    Field("id", forms.UUID, in_all()),
    Field("name", forms.WORDS, in_all()),
    Field("links", forms.LINKS, in_all()),
    Field("status", STATUS, in_all()),
    Field("tenant_id", forms.PROJECT, in_all()),
    Field("user_id", text("admin"), in_all()),
    Field("metadata", mapping("My Server Name", text("Apache1")), in_all()),
    Field("hostId", text("0" * 56, "^[0-9a-f]{56}$"), in_all()),
    Field("created", forms.SECOND, in_all()),
    Field("updated", forms.SECOND, in_all()),
    Field("accessIPv4", text("1.2.3.4", f"^({forms.IPV4})?$"), in_all()),
    Field("accessIPv6", text("80fe::", f"^({forms.IPV6})?$"), in_all()),
    Field("OS-DCF:diskConfig", one_of("AUTO", "MANUAL"), in_all()),
    Field("progress", forms.COUNT, in_all(), state="progressing"),
    Field("image", forms.IMAGE, in_all(), last=97),
    Field("flavor", forms.FLAVOR, in_all(), last=46),
    # Ports are told of where the answer is whole.
    Field("addresses", forms.ADDRESSES, {"update": 1, "rebuild": 1}, last=74),
    Field("addresses", forms.ADDRESSES_OF_PORTS, in_whole()),
    # "fault" of the API reference: the details of an internal error are for admins.
    Field("fault", forms.FAULT, in_all(), viewers=("member",), state="faulty"),
    Field("fault", forms.FAULT_IN_DETAIL, in_all(), viewers=ADMINS, state="faulty"),
    # server-action-rebuild-resp
    Field("adminPass", text("seekr3t"), {"rebuild": 1}),
    # server-get-resp, servers-details-resp; for admins what os-extended-server-attributes lets them see.
    Field("config_drive", one_of("True", ""), in_whole()),
    Field("security_groups", forms.GROUPS, in_whole(), state="networked"),
    Field("os-extended-volumes:volumes_attached", VOLUMES, in_whole(), last=2),
    Field("OS-EXT-AZ:availability_zone", text("us-west"), in_whole()),
    Field("OS-EXT-STS:vm_state", text("active"), in_whole()),
    Field("OS-EXT-STS:task_state", or_null(text("rebuilding")), in_whole()),
    Field("OS-EXT-STS:power_state", POWER_STATE, in_whole()),
    Field("OS-SRV-USG:launched_at", or_null(forms.MICROSECOND), in_whole()),
    Field("OS-SRV-USG:terminated_at", or_null(forms.MICROSECOND), in_whole()),
    Field(HOST + "host", or_null(text("compute")), in_whole(), viewers=ADMINS),
    Field(HOST + "hypervisor_hostname", or_null(text("compute")), in_whole(), viewers=ADMINS),
    Field(HOST + "instance_name", text("instance-00000001"), in_whole(), viewers=ADMINS),
    # v2.3/server-get-resp, v2.3/servers-details-resp; v2.75/server-action-rebuild-resp has its own user_data.
    Field("os-extended-volumes:volumes_attached", VOLUMES_SINCE_2_3, in_whole(3)),
    Field(HOST + "reservation_id", or_null(text("r-00000001")), in_whole(3), viewers=ADMINS),
    Field(HOST + "launch_index", forms.COUNT, in_whole(3), viewers=ADMINS),
    Field(HOST + "kernel_id", or_null(text("a5f474bf")), in_whole(3), viewers=ADMINS),
    Field(HOST + "ramdisk_id", or_null(text("a5f474bf")), in_whole(3), viewers=ADMINS),
    Field(HOST + "hostname", text("new-server-test"), in_whole(3), viewers=ADMINS),
    Field(HOST + "root_device_name", or_null(text("/dev/sda")), in_whole(3), viewers=ADMINS),
    Field(
        HOST + "user_data",
        or_null(text("ZWNobyAiaGVsbG8gd29ybGQi")),
        {"show": 3, "detail": 3, "update": 75},
        viewers=ADMINS,
    ),
    # v2.9/server-get-resp; in every answer, says the history of the API.
    Field("locked", forms.SWITCH, in_all(9)),
    # v2.16/server-get-resp; by policy
    Field("host_status", one_of("UP", "DOWN", "MAINTENANCE", "UNKNOWN", ""), in_whole(16), viewers=ADMINS),
    # v2.19/server-get-resp, …/server-put-resp, …/server-action-rebuild-resp
    Field("description", or_null(text("a description")), in_all(19)),
    # v2.26/server-action-rebuild-resp, v2.47/server-update-resp
    Field("tags", array(text("tag1")), in_all(26)),
    # v2.47/server-get-resp, …; the extra specs are there by policy, which lets readers see them.
    Field("flavor", forms.EMBEDDED_FLAVOR, in_all(47)),
    # v2.54/server-action-rebuild-resp; show and detail always had it.
    Field("key_name", or_null(text("new-key")), in_whole() | {"rebuild": 54}),
    # v2.57/server-action-rebuild-resp
    Field("user_data", or_null(text("ZWNobyAiaGVsbG8gd29ybGQi")), {"rebuild": 57}),
    # v2.63/server-get-resp, …
    Field("trusted_image_certificates", or_null(array(text("0b5d2c72-12cc-4ba6"))), in_all(63)),
    # v2.71/server-get-resp, …; in no list
    Field("server_groups", array(forms.UUID), {"show": 71, "update": 71, "rebuild": 71}),
    # v2.73/server-get-resp, …
    Field("locked_reason", or_null(text("I don't want to work")), in_all(73)),
    # v2.90/server-get-resp, …: since then for everybody
    Field(HOST + "hostname", text("new-server-test"), in_whole(90), viewers=("member",)),
    # v2.96/server-get-resp, …
    Field("pinned_availability_zone", or_null(text("us-west")), in_whole(96)),
    # v2.98/server-get-resp, …
    Field("image", forms.IMAGE_WITH_PROPERTIES, in_all(98)),
    # v2.100/server-get-resp, …
    Field("scheduler_hints", mapping("same_host", array(text("48e6a9f6"))), in_whole(100)),
)

# server-create-resp, the same at every version up to v2.100
CREATED = closed(
    server=closed_from(
        {
            "id": forms.UUID,
            "links": forms.LINKS,
            "adminPass": text("6NpUwoz2QDRN"),
            "security_groups": forms.GROUPS,
            "OS-DCF:diskConfig": one_of("AUTO", "MANUAL"),
        }
    )
)
# os-multiple-create/multiple-create-post-resp
RESERVED = closed(reservation_id=text("r-3fhpjulh", "^r-[0-9a-z]{8}$"))


def page_of(server: Schema) -> Schema:
    """servers-list-resp, servers-details-resp: a list that is full with one server to the page."""
    return closed(servers=array(server), servers_links=forms.NEXT_PAGE)


INDEX = page_of(closed(id=forms.UUID, name=forms.WORDS, links=forms.LINKS))


def server_of(answer: str, minor: int, viewer: str, states: Collection[str]) -> Schema:
    """What an answer says of a server in these states."""
    fields = [field for field in FIELDS if field.is_in(answer, minor, viewer, states)]
    forms_by_name = {field.name: field.form for field in fields}
    assert len(forms_by_name) == len(fields), f"two forms of one field in {answer} at 2.{minor}"
    return closed_from(forms_by_name)


def steps(answer: str, viewer: str) -> Iterator[tuple[int, Schema]]:
    """The minors at which what an answer says of a server changes, and what it says from there on."""
    before = None
    for minor in range(1, NEWEST + 1):
        schema = server_of(answer, minor, viewer, STATES)
        if schema != before:
            yield minor, schema
        before = schema


def answer_of(answer: str, minor: int, viewer: str, states: Collection[str]) -> Schema:
    """The whole answer."""
    server = server_of(answer, minor, viewer, states)
    return page_of(server) if answer == "detail" else closed(server=server)


# Where any answer changes, and the version before.
EDGES = sorted(
    {1, NEWEST}
    | {
        edge
        for answer in ANSWERS
        for viewer in VIEWERS
        for minor, _ in steps(answer, viewer)
        for edge in (minor - 1, minor)
        if edge
    }
)
