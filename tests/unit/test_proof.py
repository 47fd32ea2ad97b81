"""What `make guest` takes for a login, for a refusal, and for neither."""

import os
import subprocess
from pathlib import Path

import pytest

from proof.checks import Checks
from proof.login import Answer, password
from renova.demo.progress import Progress
from renova.guests import debian
from renova.guests.programs import GuestError

KEY = "ssh-ed25519 SHA256:gtvuZgaYa9KC3QWYcT08R49/eBKyvfAClxvo8oP6OTA"
MET = f"debug1: Connecting to 10.77.0.4 [10.77.0.4] port 22.\r\ndebug1: Server host key: {KEY}\r\n"
OFFERED = "debug1: Offering public key: mine ED25519 SHA256:E+gmYMUSsTkCJcCOpM2idwAHa9r0v9z0QIWVdQKmOJQ\r\n"
CONTINUE = "debug1: Authentications that can continue: publickey,password\r\n"
DENIED = (
    f"{MET}{CONTINUE}{OFFERED}{CONTINUE}"
    "debug1: No more authentication methods to try.\r\n"
    "debian@10.77.0.4: Permission denied (publickey,password).\r\n"
)
CHANGED = (
    f"{MET}@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.\r\n"
)


@pytest.mark.parametrize("shown", [OFFERED, "debug1: Next authentication method: password\r\n"])
def test_a_refusal_is_sshd_s_own(shown: str) -> None:
    answer = Answer(255, "", DENIED.replace(OFFERED, shown))
    assert (answer.denied, answer.host_key) == (True, KEY)
    assert answer.last_words == "debian@10.77.0.4: Permission denied (publickey,password)."
    assert not answer.distrusted


@pytest.mark.parametrize(
    ("status", "complaints"),
    [
        (0, MET),
        (255, "ssh: connect to host 10.77.0.4 port 22: Connection refused\r\n"),
        (255, f"{MET}Connection closed by 10.77.0.4 port 22\r\n"),
        (
            255,
            'Load key "/tmp/key": Permission denied\r\ndebian@10.77.0.4: Permission denied (publickey).\r\n',
        ),
        (255, DENIED.replace(OFFERED, "")),
        (255, DENIED.replace(f"{OFFERED}{CONTINUE}", OFFERED)),
        (1, DENIED),
        (-1, "no end after 240 s"),
        (255, CHANGED),
    ],
)
def test_what_is_no_refusal(status: int, complaints: str) -> None:
    assert not Answer(status, "", complaints).denied


def test_a_client_that_knows_another_key_gives_up() -> None:
    answer = Answer(255, "", CHANGED)
    assert (answer.distrusted, answer.host_key) == (True, KEY)


def test_ssh_is_told_the_password_as_it_is(tmp_path: Path) -> None:
    credential = password("50 %s 'of' $it\\n", tmp_path)
    program = credential.environment["SSH_ASKPASS"]
    told = subprocess.run([program], env=credential.environment, capture_output=True, text=True, check=True)
    assert told.stdout == "50 %s 'of' $it\\n\n"


def test_what_the_script_printed() -> None:
    facts = Answer(0, "image: renova-first\nroot disk:   2.0G\nabc\n", MET).facts
    assert (facts["image"], facts["root disk"]) == ("renova-first", "2.0G")


@pytest.mark.parametrize(
    ("pairs", "all_hold"),
    [([], False), ([("a", "a")], True), ([("a", "a"), ("", "")], False), ([("a", "b")], False)],
)
def test_every_check_has_to_hold_and_there_has_to_be_one(
    pairs: list[tuple[str, str]], all_hold: bool
) -> None:
    checks = Checks(Progress())
    for before, after in pairs:
        checks.same("equal", before, after)
    assert checks.all_hold is all_hold


def test_the_account_names_what_failed() -> None:
    checks = Checks(Progress())
    checks.same("equal", "a", "a")
    checks.differs("different", "a", "a")
    assert checks.summary() == "2 checks, 1 failed\nNO  different"


def test_debian_is_built_by_root_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(GuestError, match="by root only"):
        debian.build(tmp_path, ("one",), packages_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
