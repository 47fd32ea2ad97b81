"""tempest against a cloud of its own: every test by name with its result, and an account of those skipped.

    make tempest [STATE=dir] [PORT_OFFSET=n]

Ends with 0 if every selected test has passed, or is one of those that skipped.txt expects to be skipped.
"""

import argparse
import csv
import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from renova.cloud.state import State
from renova.guests.image import build
from renova.guests.packages import default_directory
from tempest import configuration
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud, free_port_offset, running

HERE = Path(__file__).parent
# What is selected -> the profile that the cloud has meanwhile.
LISTS = {
    "compute-include.txt": "noa",
    "rebuild-include.txt": "noa",
    "rebuild-nova-include.txt": "nova",
}
# Without a bridge no test reaches a guest.
MAY_BRIDGE = os.geteuid() == 0
# A class that is skipped as a whole is one result of this name.
WHOLE_CLASS = re.compile(r"setUpClass \((?P<name>.+)\)")
TRACEBACK = "Traceback (most recent call last)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=Path, required=True, help="bin directory of tempest's environment")
    parser.add_argument("--state", type=Path, help="where the cloud is made, and left (default: temporary)")
    parser.add_argument("--port-offset", type=int, help="added to every port (default: one that is free)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="renova-tempest-") as path:
        directory = Path(path)
        # PostgreSQL and QEMU run as users of their own, who have to get through.
        directory.chmod(0o711)
        offset = free_port_offset() if options.port_offset is None else options.port_offset
        state = State((options.state or directory / "state").resolve(), offset)
        results: dict[str, str] = {}
        subprocess.run([options.programs.resolve() / "stestr", "init"], cwd=directory, check=True)
        guests = guests_in(directory) if MAY_BRIDGE else []
        for name, profile in LISTS.items():
            with running(state, directory / "up.log", profile) as cloud:
                results |= Tempest(options.programs.resolve(), directory, HERE / name, guests).run(cloud)
        complaints = [*complaints_of_results(results, expected_skips()), *complaints_of_logs(state)]
    return report(results, complaints)


def guests_in(directory: Path) -> list[Path]:
    """Two images of the small Linux with an SSH server."""
    build_one = partial(build, version="1", packages_dir=default_directory(), ssh=True)
    return [build_one(directory / f"{name}.qcow2", name=name, secret=name) for name in ("alpha", "beta")]


@dataclass(frozen=True)
class Tempest:
    """One run of tempest: its programs, where it may write, the file that selects the tests, and the guests
    that it may log in to.
    """

    programs: Path
    directory: Path
    include: Path
    guests: list[Path]

    def run(self, cloud: Cloud) -> dict[str, str]:
        """Run the selected tests one after the other, their results seen as they come. -> {test: result}

        Results are those of subunit: "success", "failure", "skip"; "none" is a test that did not report.
        """
        client = Client(cloud, self.directory)
        try:
            conf = str(configuration.write(cloud, client, self.directory, self.guests))
            selection = ("run", "--config-file", conf, "--include-list", str(self.include))
            listed = self._program("tempest", *selection, "--list-tests").decode()
            selected = re.findall(r"^(tempest\..+?)\[", listed, re.MULTILINE)
            self._refuse_regexes_without_a_test(listed)
            print(f"== {self.include.name}: {len(selected)} tests", flush=True)
            subprocess.run(
                [self.programs / "tempest", *selection, "--serial"], cwd=self.directory, check=False
            )
            stream = self._program("stestr", "last", "--subunit")
            # It ends with 1 when a test has failed, and with a table all the same.
            table = subprocess.run(
                [self.programs / "subunit2csv"], input=stream, stdout=subprocess.PIPE, check=False
            )
            return results_of(selected, table.stdout.decode())
        finally:
            client.close()

    def _refuse_regexes_without_a_test(self, listed: str) -> None:
        for line in self.include.read_text().splitlines():
            if not line.startswith("#") and not re.search(line, listed, re.MULTILINE):
                raise SystemExit(f"{self.include.name}: tempest has no test {line}")

    def _program(self, name: str, *arguments: str) -> bytes:
        return subprocess.check_output([self.programs / name, *arguments], cwd=self.directory)


def results_of(selected: list[str], table: str) -> dict[str, str]:
    """`table` is what subunit2csv makes of a run: a line of test, status and times for each result.

    A class that fails to clean up after its tests is a failure under its own name.
    """
    said = {row["test"].partition("[")[0]: row["status"] for row in csv.DictReader(io.StringIO(table))}
    classes = {found["name"]: said[test] for test in said if (found := WHOLE_CLASS.fullmatch(test))}
    unclean = {test: said[test] for test in said if test.startswith("tearDownClass ")}
    return {
        test: said.get(test) or classes.get(test.rpartition(".")[0], "none") for test in selected
    } | unclean


def expected_skips() -> dict[str, str]:
    """What skipped.txt says, and without root what the other file does: {test: reason}"""
    files = ("skipped.txt",) if MAY_BRIDGE else ("skipped.txt", "skipped-without-root.txt")
    lines = [line for file in files for line in (HERE / file).read_text().splitlines()]
    pairs = (line.partition(": ") for line in lines if not line.startswith("#"))
    return {test: reason for test, _, reason in pairs}


def complaints_of_results(results: dict[str, str], expected: dict[str, str]) -> list[str]:
    """What makes a run a failure; passed + skipped must be all that was selected."""
    skipped = {test for test, result in results.items() if result == "skip"}
    return [
        *(f"{test}: {result}" for test, result in results.items() if result not in ("success", "skip")),
        *(f"{test}: skipped, and skipped.txt gives no reason" for test in sorted(skipped - expected.keys())),
        *(f"{test}: in skipped.txt, and not skipped" for test in sorted(expected.keys() - skipped)),
    ]


def complaints_of_logs(state: State) -> list[str]:
    """A traceback of the API or the agent is a bug even where the client got what it had asked for."""
    texts = ((service, state.log(service).read_text()) for service in ("api", "agent"))
    return [
        f"the {service}'s log has a traceback:\n{text[text.index(TRACEBACK) :]}"
        for service, text in texts
        if TRACEBACK in text
    ]


def report(results: dict[str, str], complaints: list[str]) -> int:
    """Print every test with its result, then the sums. Returns the exit status."""
    reasons = expected_skips()
    for test, result in sorted(results.items()):
        reason = f" ({reasons.get(test, 'no reason in skipped.txt')})" if result == "skip" else ""
        print(f"{result:8}{test}{reason}")
    counts = {kind: sum(result == kind for result in results.values()) for kind in ("success", "skip")}
    rest = len(results) - sum(counts.values())
    print(f"{len(results)} results: {counts['success']} passed, {counts['skip']} skipped, {rest} failed")
    for complaint in complaints:
        print(f"tempest: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
