"""Who may do what by default, and how an operator changes it."""

import os
import time
from pathlib import Path

import pytest

from renova.api.policies import (
    DEFAULTS,
    KEYPAIRS,
    LIMITS_OTHER_PROJECT,
    REMEMBERED_SECONDS,
    SERVERS,
    UNLOCK_OVERRIDE,
    Policy,
)
from renova.compute.caller import Caller
from tests.api_client import PROJECT, ROLES, configure

OTHER_PROJECT = "ffffffffffffffffffffffffffffffff"


def caller(role: str, policy: Policy) -> Caller:
    is_admin = policy.is_admin("someone", PROJECT, ROLES[role])
    return Caller("someone", PROJECT, ROLES[role], is_admin, "req-1")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return Policy(configure(tmp_path))


@pytest.mark.parametrize(
    ("rule", "roles"),
    [
        (SERVERS + "index", {"reader", "member", "admin"}),
        (SERVERS + "show", {"reader", "member", "admin"}),
        (SERVERS + "rebuild", {"member", "admin"}),
        (SERVERS + "create", {"member", "admin"}),
        (SERVERS + "index:get_all_tenants", {"admin"}),
        (UNLOCK_OVERRIDE, {"admin"}),
        (LIMITS_OTHER_PROJECT, {"admin"}),
    ],
)
def test_in_ones_own_project(policy: Policy, rule: str, roles: set[str]) -> None:
    assert {role for role in ROLES if policy.allows(rule, caller(role, policy))} == roles


def test_in_another_project_only_an_admin_may(policy: Policy) -> None:
    for rule in (SERVERS + "show", SERVERS + "rebuild"):
        allowed = {
            role for role in ROLES if policy.allows(rule, caller(role, policy), project_id=OTHER_PROJECT)
        }
        assert allowed == {"admin"}


def test_key_pairs_belong_to_their_user(policy: Policy) -> None:
    reader = caller("reader", policy)
    assert policy.allows(KEYPAIRS + "create", reader)
    assert not policy.allows(KEYPAIRS + "show", reader, user_id="somebody else")
    assert policy.allows(KEYPAIRS + "show", caller("admin", policy), user_id="somebody else")


def test_every_rule_refers_only_to_rules_that_exist(policy: Policy) -> None:
    for rule in DEFAULTS:
        policy.allows(rule, caller("reader", policy))


def test_an_operators_file_changes_a_rule(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('"os_compute_api:servers:rebuild": "role:admin"\n')
    conf = configure(tmp_path, f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml\n")
    policy = Policy(conf)
    assert not policy.allows(SERVERS + "rebuild", caller("member", policy))
    assert policy.allows(SERVERS + "create", caller("member", policy))


def test_a_changed_file_is_in_force_after_a_second(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"os_compute_api:servers:rebuild": "role:admin"\n')
    now = 100.0
    policy = Policy(configure(tmp_path, f"[oslo_policy]\npolicy_file = {file}\n"), now=lambda: now)
    member = caller("member", policy)
    assert not policy.allows(SERVERS + "rebuild", member)
    file.write_text('"os_compute_api:servers:rebuild": "role:member"\n')
    os.utime(file, (time.time() + 10, time.time() + 10))
    now += REMEMBERED_SECONDS
    assert policy.allows(SERVERS + "rebuild", member)


def test_what_was_decided_for_one_is_not_for_another(policy: Policy) -> None:
    for _ in range(2):
        for role in ("member", "reader", "admin"):
            allowed = policy.allows(SERVERS + "rebuild", caller(role, policy))
            elsewhere = policy.allows(SERVERS + "rebuild", caller(role, policy), project_id=OTHER_PROJECT)
            assert (allowed, elsewhere) == (role != "reader", role == "admin")
