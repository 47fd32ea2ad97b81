"""Who may do what: Nova's rule names and defaults. `[oslo_policy] policy_file` overrides them.

A reader may look, a member may act, both in their own project; an admin may do everything. Source:
nova/policies.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from renova.compute.caller import Caller

ADMIN = "rule:context_is_admin"
MEMBER = "rule:project_member_or_admin"
READER = "rule:project_reader_or_admin"
SELF = "(rule:context_is_admin) or user_id:%(user_id)s"
ANY = "@"

SERVERS = "os_compute_api:servers:"
CONSOLE_OUTPUT = "os_compute_api:os-console-output"
INSTANCE_ACTIONS = "os_compute_api:os-instance-actions:"
EXTENDED_SERVER_ATTRIBUTES = "os_compute_api:os-extended-server-attributes"
SERVER_METADATA = "os_compute_api:server-metadata:"
SERVER_TOPOLOGY = "compute:server:topology:"
REQUESTED_DESTINATION = "compute:servers:create:requested_destination"
SERVER_TAGS = "os_compute_api:os-server-tags:"
IPS = "os_compute_api:ips:"
LOCK_SERVER = "os_compute_api:os-lock-server:"
UNLOCK_OVERRIDE = LOCK_SERVER + "unlock:unlock_override"
FLAVOR_MANAGE = "os_compute_api:os-flavor-manage:"
FLAVOR_ACCESS = "os_compute_api:os-flavor-access"
FLAVOR_EXTRA_SPECS = "os_compute_api:os-flavor-extra-specs:"
KEYPAIRS = "os_compute_api:os-keypairs:"
ADMIN_ACTIONS = "os_compute_api:os-admin-actions:"
ATTACH_INTERFACES = "os_compute_api:os-attach-interfaces:"
AVAILABILITY_ZONE = "os_compute_api:os-availability-zone:"
NETWORKS = "os_compute_api:os-networks:"
SECURITY_GROUPS = "os_compute_api:os-security-groups:"
SERVER_GROUPS = "os_compute_api:os-server-groups:"
SERVICES = "os_compute_api:os-services:"
VOLUME_ATTACHMENTS = "os_compute_api:os-volumes-attachments:"
QUOTA_SETS = "os_compute_api:os-quota-sets:"
LIMITS = "os_compute_api:limits"
LIMITS_OTHER_PROJECT = "os_compute_api:limits:other_project"

DEFAULTS = {
    "context_is_admin": "role:admin",
    "project_member_api": "role:member and project_id:%(project_id)s",
    "project_reader_api": "role:reader and project_id:%(project_id)s",
    "project_member_or_admin": "rule:project_member_api or rule:context_is_admin",
    "project_reader_or_admin": "rule:project_reader_api or rule:context_is_admin",
    **{SERVERS + name: READER for name in ("index", "detail", "show", "show:flavor-extra-specs")},
    **{
        SERVERS + name: ADMIN
        for name in (
            "index:get_all_tenants",
            "detail:get_all_tenants",
            "allow_all_filters",
            "show:host_status",
            "show:host_status:unknown-only",
            "create:forced_host",
            "create:zero_disk_flavor",
        )
    },
    **{
        SERVERS + name: MEMBER
        for name in (
            *("create", "create:attach_network", "create:attach_volume", "create:trusted_certs"),
            *("delete", "update", "reboot", "rebuild", "rebuild:trusted_certs", "start", "stop"),
            *("resize", "confirm_resize", "revert_resize", "create_image"),
            "undo_rebuild",  # Renova's own.
        )
    },
    REQUESTED_DESTINATION: ADMIN,
    SERVER_TOPOLOGY + "index": READER,
    CONSOLE_OUTPUT: MEMBER,
    INSTANCE_ACTIONS + "list": READER,
    INSTANCE_ACTIONS + "show": READER,
    INSTANCE_ACTIONS + "events": ADMIN,
    INSTANCE_ACTIONS + "events:details": ADMIN,
    EXTENDED_SERVER_ATTRIBUTES: ADMIN,
    **{SERVER_METADATA + name: READER for name in ("index", "show")},
    **{SERVER_METADATA + name: MEMBER for name in ("create", "update_all", "update", "delete")},
    **{SERVER_TAGS + name: READER for name in ("index", "show")},
    **{SERVER_TAGS + name: MEMBER for name in ("update", "update_all", "delete", "delete_all")},
    **{IPS + name: READER for name in ("index", "show")},
    LOCK_SERVER + "lock": MEMBER,
    LOCK_SERVER + "unlock": MEMBER,
    UNLOCK_OVERRIDE: ADMIN,
    **{FLAVOR_MANAGE + name: ADMIN for name in ("create", "update", "delete")},
    **{FLAVOR_ACCESS + name: ADMIN for name in ("", ":add_tenant_access", ":remove_tenant_access")},
    **{FLAVOR_EXTRA_SPECS + name: ADMIN for name in ("create", "update", "delete")},
    **{FLAVOR_EXTRA_SPECS + name: READER for name in ("index", "show")},
    **{KEYPAIRS + name: SELF for name in ("index", "create", "delete", "show")},
    ADMIN_ACTIONS + "reset_state": ADMIN,
    **{ATTACH_INTERFACES + name: READER for name in ("list", "show")},
    **{ATTACH_INTERFACES + name: MEMBER for name in ("create", "delete")},
    AVAILABILITY_ZONE + "list": ANY,
    AVAILABILITY_ZONE + "detail": ADMIN,
    **{SERVER_GROUPS + name: READER for name in ("index", "show")},
    **{SERVER_GROUPS + name: MEMBER for name in ("create", "delete")},
    SERVER_GROUPS + "index:all_projects": ADMIN,
    SERVICES + "list": ADMIN,
    **{NETWORKS + name: READER for name in ("list", "show")},
    SECURITY_GROUPS + "list": READER,
    **{VOLUME_ATTACHMENTS + name: READER for name in ("index", "show")},
    **{VOLUME_ATTACHMENTS + name: MEMBER for name in ("create", "update", "delete")},
    VOLUME_ATTACHMENTS + "swap": "role:service",
    **{QUOTA_SETS + name: READER for name in ("show", "detail")},
    **{QUOTA_SETS + name: ADMIN for name in ("update", "delete")},
    QUOTA_SETS + "defaults": ANY,
    LIMITS: ANY,
    LIMITS_OTHER_PROJECT: ADMIN,
}


# After a change of the operator's file, the old rules are in force for so long at most.
REMEMBERED_SECONDS = 10.0


@dataclass(frozen=True)
class _Question:
    """Everything that a rule may look at. `is_admin` is None where that is the question."""

    rule: str
    user_id: str
    project_id: str
    roles: frozenset[str]
    target_user_id: str
    target_project_id: str
    is_admin: bool | None = None

    @property
    def target(self) -> dict[str, str]:
        return {"user_id": self.target_user_id, "project_id": self.target_project_id}

    @property
    def credentials(self) -> dict[str, Any]:
        known = {"user_id": self.user_id, "project_id": self.project_id, "roles": sorted(self.roles)}
        return known if self.is_admin is None else {**known, "is_admin": self.is_admin}


class Policy:
    """The rules in force: the defaults, and over them the operator's file, read again when it changes.

    A decision is remembered for REMEMBERED_SECONDS: to show one server takes six, and each costs as much as a
    query. `now` is a clock in seconds.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, now: Callable[[], float] = time.monotonic) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults([policy.RuleDefault(name, rule) for name, rule in DEFAULTS.items()])
        self._now = now
        self._decisions: dict[_Question, bool] = {}
        self._forget_at = 0.0

    def is_admin(self, user_id: str, project_id: str, roles: frozenset[str]) -> bool:
        """Whether roles make an admin. Asked once per request, for `Caller.is_admin`."""
        return self._decide(_Question("context_is_admin", user_id, project_id, roles, user_id, project_id))

    def allows(
        self, rule: str, caller: Caller, *, project_id: str | None = None, user_id: str | None = None
    ) -> bool:
        """Whether the caller may do `rule` to what that project or user owns (default: to their own).

        Raises oslo_policy.policy.PolicyNotRegistered for a rule without a default: that is a mistake of ours.
        """
        return self._decide(
            _Question(
                rule,
                caller.user_id,
                caller.project_id,
                caller.roles,
                user_id or caller.user_id,
                project_id or caller.project_id,
                caller.is_admin,
            )
        )

    def _decide(self, question: _Question) -> bool:
        now = self._now()
        if now >= self._forget_at:
            self._decisions.clear()
            self._forget_at = now + REMEMBERED_SECONDS
        decision = self._decisions.get(question)
        if decision is None:
            decision = bool(self._enforcer.authorize(question.rule, question.target, question.credentials))
            self._decisions[question] = decision
        return decision
