"""How the guests of one host are connected: to a bridge, or each to a user network of QEMU's."""
