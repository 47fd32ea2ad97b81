"""Ports as a machine's cards and as the guest reads them."""

from renova.agent.network import network_card, network_data
from renova.agent.qemu import NetworkCard
from renova.db.tables import Network, Port

NETWORK = Network(id="9f6d3c1e-0000-4000-8000-000000000001", label="private", cidr="10.1.0.0/20")
PORT = Port(
    id="0a1b2c3d-4e5f-4000-8000-000000000002",
    mac="fa:16:3e:00:00:01",
    address="10.1.4.9",
    network_id=NETWORK.id,
    network=NETWORK,
)


def test_a_card_has_the_gateway_and_the_dns_address_that_no_server_gets() -> None:
    assert network_card(PORT) == NetworkCard(
        mac="fa:16:3e:00:00:01", address="10.1.4.9", cidr="10.1.0.0/20", gateway="10.1.0.1", dns="10.1.0.2"
    )


def test_network_data_is_what_cloud_init_reads() -> None:
    assert network_data([PORT]) == {
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
