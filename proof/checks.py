"""What was to hold, whether it did, and what shows it."""

from dataclasses import dataclass, field

from renova.demo.progress import Progress


@dataclass
class Checks:
    progress: Progress
    results: list[tuple[str, bool]] = field(default_factory=list)

    def check(self, what: str, holds: bool, evidence: str) -> None:
        """Told at once; the evidence is what was seen, whether it is right or wrong."""
        self.results.append((what, holds))
        self.progress.say(f"{'ok ' if holds else 'NO '} {what}: {evidence}")

    def same(self, what: str, before: str, after: str) -> None:
        self.check(
            what, bool(before) and before == after, before if before == after else f"{before} -> {after}"
        )

    def differs(self, what: str, before: str, after: str) -> None:
        self.check(what, bool(before and after) and before != after, f"{before} -> {after}")

    @property
    def all_hold(self) -> bool:
        return bool(self.results) and all(holds for _, holds in self.results)

    def summary(self) -> str:
        failed = [what for what, holds in self.results if not holds]
        return "\n".join(
            [f"{len(self.results)} checks, {len(failed)} failed", *(f"NO  {what}" for what in failed)]
        )
