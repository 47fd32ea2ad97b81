"""Names and ranges of several clouds on one machine, and the rules that are made of them."""

from ipaddress import IPv4Interface, IPv4Network
from uuid import uuid4

import pytest

from renova.agent.networks.firewall import Segment, Sender, rules
from renova.agent.networks.links import POOL, free_range
from renova.agent.networks.names import Names
from renova.errors import RenovaError

LINK_NAME = 15  # The most characters that the kernel takes.


def test_names_of_two_clouds_never_meet() -> None:
    one, other = Names.of("/run/renova/1"), Names.of("/run/renova/2")
    network, port = str(uuid4()), str(uuid4())
    assert one == Names.of("/run/renova/1")
    assert len({one.table, other.table, one.bridge(network), other.bridge(network)}) == 4
    assert one.tap(port) != other.tap(port)
    assert not one.bridge(network).startswith(one.taps)
    assert max(len(one.bridge(network)), len(one.tap(port))) == LINK_NAME


def test_a_range_is_one_that_nothing_else_leads_to() -> None:
    first = free_range("a seed", [])
    assert first.subnet_of(POOL)
    assert free_range("a seed", []) == first != free_range("another", [])
    assert not free_range("a seed", [IPv4Network(f"{first[77]}/32")]).overlaps(first)
    with pytest.raises(RenovaError, match="no range"):
        free_range("a seed", [IPv4Network("10.0.0.0/8")])


def test_a_host_without_guests_has_rules_too() -> None:
    segment = Segment("rnv0", IPv4Interface("10.64.0.1/20"))
    text = rules(Names("0" * 8), [segment], [])
    assert "elements" not in text
    assert 'elements = { "rv0" . fa:16:3e:00:00:01 . 10.64.0.4 }' in rules(
        Names("0" * 8), [segment], [Sender("rv0", "fa:16:3e:00:00:01", "10.64.0.4")]
    )
