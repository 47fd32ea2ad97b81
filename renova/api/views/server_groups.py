"""What a client sees of server groups. Source: Nova's API reference, "Server groups"."""

from typing import Annotated, Self

from renova.api.marked import View
from renova.api.microversions import since, until
from renova.db.tables import ServerGroup


class ServerGroupView(View):
    """`members` are ids of servers. `metadata` never held anything."""

    id: str
    name: str
    policies: Annotated[list[str], until("2.63")]
    metadata: Annotated[dict[str, str], until("2.63")]
    policy: Annotated[str, since("2.64")]
    rules: Annotated[dict[str, int], since("2.64")]
    members: list[str]
    project_id: Annotated[str, since("2.13")]
    user_id: Annotated[str, since("2.13")]

    @classmethod
    def of(cls, group: ServerGroup, members: list[str]) -> Self:
        most = group.max_server_per_host
        return cls(
            id=group.id,
            name=group.name,
            policies=[group.policy],
            metadata={},
            policy=group.policy,
            rules={} if most is None else {"max_server_per_host": most},
            members=members,
            project_id=group.project_id,
            user_id=group.user_id,
        )
