"""The report: a line for each case as it comes, and the sums at the end."""

from collections import Counter
from dataclasses import dataclass, field

from chaos.matrix import Outcome

# What a checker complains of, as it is counted.
KINDS = ("lost", "stuck", "left over")


@dataclass
class Report:
    cases: list[Outcome] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, outcomes: list[Outcome]) -> None:
        self.cases += outcomes
        for case in outcomes:
            owner = f"; {case.revived}" if case.revived else ""
            print(
                f"{case.case:62} {case.system:7} {case.seconds:5.1f} s  {case.result}{owner} [{case.fired}]",
                flush=True,
            )
            for complaint in case.complaints:
                print(
                    f"    {complaint['kind'].upper()} {complaint['server']} {complaint['what']}", flush=True
                )

    def skip(self, what: str) -> None:
        self.skipped.append(what)
        print(f"SKIPPED {what}", flush=True)

    def end(self) -> int:
        """Print the sums. Returns the exit status."""
        counts = Counter(kind for case in self.cases for kind in {c["kind"] for c in case.complaints})
        for what in self.skipped:
            print(f"SKIPPED {what}")
        for case in self.cases:
            if case.complaints:
                print(f"WRONG {case.case}: {'; '.join(c['what'] for c in case.complaints)}")
        missed = counts["not fired"]
        if missed:
            print(f"{missed} faults that never fired")
        idle = sum(case.fired == "no QEMU" for case in self.cases)
        print(f"{idle} of the cases: QEMU was to be killed at a moment when none ran")
        sums = ", ".join(
            (f"{counts['lost']} servers lost", f"{counts['stuck']} stuck", f"{counts['left over']} left over")
        )
        print(f"{len(self.cases)} cases, {sums}")
        return 1 if counts else 0
