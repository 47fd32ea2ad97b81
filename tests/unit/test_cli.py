"""What the programs of a larger cloud say of a configuration that they can't work with, in one line."""

from pathlib import Path

import pytest

from renova.cli import main


@pytest.mark.parametrize("command", [["api"], ["agent"], ["db", "upgrade"]])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[api]\nport = many\n", "port"),
        ("[DEFAULT]\ndebug = true\n", "[database] connection is missing"),
        ("nonsense\n", "nonsense"),
    ],
)
def test_a_configuration_that_cannot_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], text: str, said: str
) -> None:
    conf = tmp_path / "renova.conf"
    conf.write_text(text)
    assert main([*command, "--config", str(conf)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"renova: {conf}: ")
    assert said in line


def test_a_configuration_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "upgrade", "--config", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"renova: there is no configuration file {tmp_path}/none\n"


def test_a_database_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = tmp_path / "renova.conf"
    conf.write_text(f"[database]\nconnection = postgresql+psycopg://renova@/renova?host={tmp_path}\n")
    assert main(["db", "upgrade", "--config", str(conf)]) == 1
    line = capsys.readouterr().err
    assert line.startswith("renova: the database can't be upgraded: connection")
    assert line.count("\n") == 1
