"""Who asks: the person, project and roles of a request, as Keystone vouches for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """One request's caller. `request_id` ("req-" and a UUID) names what comes of the request in
    os-instance-actions.
    """

    user_id: str
    project_id: str
    roles: frozenset[str]
    is_admin: bool
    request_id: str
