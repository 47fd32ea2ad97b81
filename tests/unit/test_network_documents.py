"""Ports as the guest reads of them."""

from renova.agent.networks.documents import network_data
from renova.db.tables import Network, Port

NETWORK = Network(id="9f6d3c1e-0000-4000-8000-000000000001", label="private", cidr="10.1.0.0/20")
PORT = Port(
    id="0a1b2c3d-4e5f-4000-8000-000000000002",
    mac="fa:16:3e:00:00:01",
    address="10.1.4.9",
    network_id=NETWORK.id,
    network=NETWORK,
)


def test_network_data_is_what_cloud_init_reads() -> None:
    assert network_data([PORT], lambda _: None) == {
        "links": [
            {
                "id": "tap0a1b2c3d-4e",
                "vif_id": PORT.id,
                "type": "phy",
                "ethernet_mac_address": "fa:16:3e:00:00:01",
                "mtu": 1500,
            }
        ],
        "networks": [
            {
                "id": "network0",
                "type": "ipv4",
                "link": "tap0a1b2c3d-4e",
                "ip_address": "10.1.4.9",
                "netmask": "255.255.240.0",
                "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.1.0.1"}],
                "network_id": NETWORK.id,
                "services": [],
            }
        ],
        "services": [],
    }


def test_one_default_route_and_each_resolver_once() -> None:
    other = Port(id="1" * 36, mac="fa:16:3e:00:00:02", address="10.1.4.10", network=NETWORK)
    data = network_data([PORT, other], lambda _: "10.1.0.1")
    assert [len(network["routes"]) for network in data["networks"]] == [1, 0]
    assert data["services"] == [{"type": "dns", "address": "10.1.0.1"}]
    assert data["networks"][1]["services"] == data["services"]


def test_no_port_is_no_network() -> None:
    assert network_data([], lambda _: None) == {"links": [], "networks": [], "services": []}
