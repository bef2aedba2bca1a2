"""What explorers did, as it stands in the records of `explore`."""

from dataclasses import dataclass

from mlip.workflows.learning.records import Generation, Record

STOPPED, BROKE, DONE, PASSED = "stopped", "broke", "done", "passed"


@dataclass(frozen=True)
class Leg:
    """What an explorer did in a generation.

    Attributes:
        ended: `stopped` by the grade, `broke` out of the physical regime, `done` with its protocol, or
            `passed`: done from the first step on with one potential.
        potential: Generation of the potential.
        turn: How often the explorer began anew before.
        from_ps: Time of its protocol where it began, ps.
        known_ps: Time up to which the potential knew the atoms, ps.
        total_ps: Time of the protocol, ps.
        frames: How many candidates it left.
        highest_grade: Of them.
        restart: State to go on from, relative to the folder of the loop; empty for none.
        reason: For people.
        seconds: What it took.
    """

    ended: str
    potential: int
    turn: int
    from_ps: float
    known_ps: float
    total_ps: float
    frames: int
    highest_grade: float
    restart: str
    reason: str
    seconds: float = 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether it cannot go on with this potential."""
        return self.ended in (STOPPED, BROKE)


def last_legs(generation: Generation) -> dict[str, Leg]:
    """Where each explorer stood at the end of the generation before."""
    record = Generation(generation.run_dir, generation.number - 1).read("explore")
    return read_legs(record) if record else {}


def read_legs(record: Record) -> dict[str, Leg]:
    """Explorers of a record."""
    return {name: Leg(**leg) for name, leg in record["explorers"].items()}


def all_passed(record: Record) -> bool:
    """Whether every explorer has run its whole protocol with the potential of a record."""
    legs = read_legs(record).values()
    return all(leg.ended == PASSED and leg.potential == record["potential"] for leg in legs)
