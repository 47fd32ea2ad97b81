"""The judge of the demo must not be content with a rebuild that lost something, or that did nothing."""

from typing import Any

import pytest

from renova.demo.comparison import CHANGED, KEPT, compare, facts, said, seconds_between, table

IMAGES = {"i1": "alpha-1", "i2": "beta-2"}


def a_server(image: str, name: str, *, mac: str = "fa:16:3e:00:00:01") -> dict[str, Any]:
    return {
        "id": "s",
        "addresses": {"private": [{"addr": "10.0.0.2", "OS-EXT-IPS-MAC:mac_addr": mac}]},
        "flavor": {"id": "1"},
        "image": {"id": image},
        "name": name,
        "metadata": {"stage": name},
        "key_name": name,
    }


def a_console(os: str, name: str) -> str:
    return (
        f"guest os: {os}\nguest name: {name}\nguest metadata: stage={name}\n"
        f"guest key: {name} ssh-ed25519 AAAA{name}\nguest address: 10.0.0.2/16 fa:16:3e:00:00:01\n"
    )


OLD = facts(a_server("i1", "old-name"), IMAGES, a_console("alpha 1", "old-name"))
NEW = facts(a_server("i2", "new-name"), IMAGES, a_console("beta 2", "new-name"))


def test_a_rebuild_that_keeps_and_replaces_is_right() -> None:
    assert all(row.is_right for row in compare(OLD, NEW))


def test_a_rebuild_that_does_nothing_is_wrong_in_all_that_should_change() -> None:
    assert [row.what for row in compare(OLD, OLD) if not row.is_right] == list(CHANGED)


def test_another_mac_is_wrong() -> None:
    moved = facts(
        a_server("i2", "new-name", mac="fa:16:3e:00:00:02"), IMAGES, a_console("beta 2", "new-name")
    )
    assert [row.what for row in compare(OLD, moved) if not row.is_right] == ["MAC"]


@pytest.mark.parametrize("what", KEPT)
def test_what_is_not_known_is_not_kept(what: str) -> None:
    wrong = [row.what for row in compare({**OLD, what: ""}, {**NEW, what: ""}) if not row.is_right]
    assert wrong == [what]


def test_a_guest_that_started_twice_said_what_it_said_last() -> None:
    assert said("guest boot: 1\nnoise\nguest boot: 2\n", "boot") == "2"


def test_columns_stand_under_each_other() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]


def test_an_event_that_has_not_ended_has_no_length() -> None:
    start = "2026-01-01T00:00:00.000000"
    assert seconds_between({"start_time": start, "finish_time": "2026-01-01T00:01:01.500000"}) == "61.50"
    assert seconds_between({"start_time": start, "finish_time": None}) == ""
