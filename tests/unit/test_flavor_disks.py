"""A flavor whose disks can't be made is refused, not silently served without them."""

import pytest

from renova.compute.flavors import check_disks
from renova.db.tables import Flavor
from renova.errors import Invalid


@pytest.mark.parametrize("sizes", [{"ephemeral": 1, "swap": 0}, {"ephemeral": 0, "swap": 16}])
def test_a_flavor_with_disks_that_no_server_gets_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(Invalid, match="Flavor 9 has an ephemeral or a swap disk"):
        check_disks(Flavor(id="9", **sizes))


def test_a_flavor_with_a_root_disk_alone_is_taken() -> None:
    check_disks(Flavor(id="1", disk=1, ephemeral=0, swap=0))
