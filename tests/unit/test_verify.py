"""Which resets of a guest are a boot, and which are a loop."""

import pytest

from renova.agent import verify
from renova.agent.qemu.fake import Behaviour, FakeMachine
from renova.agent.qemu.spec import MachineSpec
from renova.agent.work import StepFailed

SPEC = MachineSpec("5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e", 1, "web", 1, 64, "/base", "raw", "/root")


class Clock:
    """Stands in for the modules time and asyncio: it is later only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Guest(FakeMachine):
    """Resets at these seconds after its start."""

    def __init__(self, clock: Clock, resets: list[float]) -> None:
        super().__init__(SPEC, 1, Behaviour())
        self._clock = clock
        self._resets = [clock.now + second for second in resets]

    @property
    def last_guest_reset(self) -> float | None:
        return max((reset for reset in self._resets if reset <= self._clock.now), default=None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(verify, "time", clock)
    monkeypatch.setattr(verify, "asyncio", clock)
    return clock


def every(period: float, first: float | None = None) -> list[float]:
    """For a minute."""
    return [(period if first is None else first) + period * number for number in range(int(60 / period))]


@pytest.mark.parametrize("settle", [2, 5])
@pytest.mark.parametrize(
    "resets",
    [
        pytest.param([], id="none"),
        pytest.param([0.1, 0.3], id="firmware"),
        pytest.param([1.95], id="one at the end of 2 s"),
        pytest.param([0.1, 4.95, 5.2, 5.3], id="a boot of its own at the end of 5 s, and its firmware's"),
        pytest.param([1.2], id="one that a loop would begin with"),
    ],
)
async def test_a_guest_that_stops_resetting_is_alive(
    clock: Clock, resets: list[float], settle: float
) -> None:
    begun = clock.now
    await verify.settles(Guest(clock, resets), settle)
    assert settle <= clock.now - begun <= 6 * settle


@pytest.mark.parametrize("settle", [2, 5])
@pytest.mark.parametrize(
    "resets",
    [
        # What SeaBIOS was seen to do with an empty disk, and what it may do on a host with no time for it.
        pytest.param(every(1.24, first=1.2), id="an empty disk"),
        pytest.param(every(1.9), id="an empty disk, slow"),
        pytest.param(every(0.1), id="a guest in a hurry"),
        pytest.param([0.1, *every(1.9)], id="firmware first"),
    ],
)
async def test_a_guest_that_goes_on_resetting_is_not(
    clock: Clock, resets: list[float], settle: float
) -> None:
    begun = clock.now
    with pytest.raises(StepFailed, match=f"still resetting itself after {2 * settle} seconds"):
        await verify.settles(Guest(clock, resets), settle)
    assert clock.now - begun <= 3 * settle


@pytest.mark.parametrize("restart", [0.5, 1.3, 1.9, 2.6, 4.9])
async def test_an_agent_that_starts_in_the_middle_judges_as_the_first_would_have(
    clock: Clock, restart: float
) -> None:
    """It knows of no earlier reset, and gives the guest the whole time."""
    resets = [second - restart for second in every(1.24) if second > restart]
    with pytest.raises(StepFailed):
        await verify.settles(Guest(clock, resets), 2)
    await verify.settles(Guest(clock, []), 2)


async def test_no_time_to_settle_is_no_wait(clock: Clock) -> None:
    begun = clock.now
    await verify.settles(Guest(clock, []), 0)
    assert clock.now == begun
