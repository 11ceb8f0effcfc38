"""Write the synthetic CSV files that sql-query serves: Personen and Aanstellingen for each party.

    python3 generate.py [FOLDER]      # default: the folder above this one

Nobody in these files exists: every value is drawn from the tables below. The same version of this
file gives the same bytes on every machine and Python, because it draws with nothing but
``random.Random(seed).random()``, the one method whose sequence Python promises to keep. A test
compares the committed files with a fresh run, so change both together, and with them the expected
answers in platform/scenarios. README.md beside this file documents the columns.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Weights = Sequence[tuple[T, float]]
Row = list[str]

PERSONEN = ("Instcode", "Unieknr", "Geslacht", "Gebdat", "Nationaliteit", "BKO", "SKO", "Peildat")
AANSTELLINGEN = (
    "Instcode", "Unieknr", "Volgnrar", "Aadnstvb", "Ingdatdv", "Eindatdv", "HOOPgeb",
    "Functcat", "WelGeenHGL", "Salschal", "Taakomv", "Aanst_22", "Peildat",
)  # fmt: skip

REFERENCE_DATE = 20221231  # the day that the figures describe
OPEN_END = 99991231  # the end date of a permanent appointment

# What one function category means: weights of salary scales, and the share of permanent contracts.
SCALES: dict[str, tuple[Weights[int], float]] = {
    "HGL": (((16, 3), (17, 4), (18, 2)), 0.95),  # full professor
    "UHD": (((13, 3), (14, 4), (15, 1)), 0.92),  # associate professor
    "UD": (((11, 5), (12, 4)), 0.75),  # assistant professor
    "DOC": (((10, 6), (11, 2), (12, 1)), 0.55),  # lecturer
    "OND": (((10, 5), (11, 3)), 0.15),  # researcher
    "PRO": (((9, 1),), 0.0),  # doctoral candidate
    "OBP": (((5, 1), (6, 2), (7, 3), (8, 3), (9, 3), (10, 3), (11, 2), (12, 1)), 0.8),  # support staff
}

HOOP_AREAS: Weights[str] = (
    ("NATUUR", 20), ("GEZONDHEID", 22), ("GEDRAG", 18), ("TAAL", 14),
    ("ECONOMIE", 11), ("RECHT", 7), ("TECHNIEK", 3), ("DIVERSEN", 5),
)  # fmt: skip

FTE: Weights[float] = ((1.0, 55), (0.9, 6), (0.8, 18), (0.6, 8), (0.5, 7), (0.4, 3), (0.2, 3))


@dataclass(frozen=True)
class Party:
    """What makes one institution's staff different from another's."""

    name: str
    seed: int
    persons: int
    first_number: int
    women: float  # share of persons
    nationalities: Weights[str]
    functions: dict[str, Weights[str]]  # by Geslacht
    teaching_qualified: float  # share of teaching staff with a BKO


PARTIES = (
    Party(
        name="UVA",
        seed=1632,
        persons=10_000,
        first_number=410_000_000,
        women=0.51,
        nationalities=(("NLD", 66), ("DEU", 8), ("ITA", 5), ("GBR", 4), ("CHN", 4), ("USA", 3), ("IND", 3), ("BEL", 2)),
        functions={
            "M": (("HGL", 9), ("UHD", 8), ("UD", 15), ("DOC", 10), ("OND", 13), ("PRO", 16), ("OBP", 29)),
            "V": (("HGL", 4), ("UHD", 6), ("UD", 14), ("DOC", 12), ("OND", 12), ("PRO", 17), ("OBP", 35)),
        },
        teaching_qualified=0.62,
    ),
    Party(
        name="VU",
        seed=1880,
        persons=9_700,
        first_number=730_000_000,
        women=0.55,
        nationalities=(("NLD", 73), ("DEU", 7), ("ITA", 3), ("GBR", 3), ("CHN", 3), ("SUR", 2), ("IND", 3), ("BEL", 2)),
        functions={
            "M": (("HGL", 7), ("UHD", 6), ("UD", 13), ("DOC", 9), ("OND", 15), ("PRO", 21), ("OBP", 29)),
            "V": (("HGL", 2), ("UHD", 4), ("UD", 11), ("DOC", 11), ("OND", 13), ("PRO", 20), ("OBP", 39)),
        },
        teaching_qualified=0.7,
    ),
)


class Draw:
    """Draws that depend on the seed alone, never on the Python version."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, share: float) -> bool:
        return self._random() < share

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self._random() * (high - low + 1))

    def of(self, weights: Weights[T]) -> T:
        mark = self._random() * sum(weight for _, weight in weights)
        for value, weight in weights:
            mark -= weight
            if mark < 0:
                return value
        return weights[-1][0]

    def date(self, first_year: int, last_year: int) -> int:
        """A day as YYYYMMDD; never after the 28th, so every month has it."""
        return self.between(first_year, last_year) * 10000 + self.between(1, 12) * 100 + self.between(1, 28)


def tables(party: Party) -> tuple[list[Row], list[Row]]:
    """The rows of Personen and of Aanstellingen, without their headers."""
    draw = Draw(party.seed)
    persons: list[Row] = []
    appointments: list[Row] = []
    number = party.first_number
    for _ in range(party.persons):
        number += draw.between(1, 900)  # gaps, so that nobody relies on a sequence
        gender = "V" if draw.chance(party.women) else "M"
        function = draw.of(party.functions[gender])
        born = draw.date(1990, 1998) if function == "PRO" else draw.date(1956, 1994)
        teaches = function in ("HGL", "UHD", "UD", "DOC")
        bko = teaches and draw.chance(party.teaching_qualified)
        sko = bko and draw.chance(0.12)
        persons.append([
            party.name, str(number), gender, str(born), draw.of(party.nationalities),
            str(int(bko)), str(int(sko)), str(REFERENCE_DATE),
        ])  # fmt: skip
        appointments.extend(appointments_of(draw, party, number, function, born))
    return persons, appointments


def appointments_of(draw: Draw, party: Party, number: int, function: str, born: int) -> Iterator[Row]:
    """None for guests (3 %), one for most, up to three for those who changed contract or combine two."""
    scales, permanent_share = SCALES[function]
    area = draw.of(HOOP_AREAS)
    for sequence in range(1, draw.of(((0, 3), (1, 88), (2, 7), (3, 2))) + 1):
        permanent = draw.chance(permanent_share)
        if permanent:
            start, end = draw.date(max(1985, born // 10000 + 24), 2022), OPEN_END
        else:
            start = draw.date(2017, 2022)
            end = start + draw.between(1, 6) * 10000
        running = start <= REFERENCE_DATE < end
        yield [
            party.name, str(number), str(sequence), "V" if permanent else "T", str(start), str(end), area,
            function, str(int(function == "HGL")), str(draw.of(scales)), str(draw.of(FTE)),
            str(int(running)), str(REFERENCE_DATE),
        ]  # fmt: skip


def csv_bytes(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    """`;`-separated, `\\n` line ends, UTF-8; no value needs quoting."""
    return "".join(";".join(row) + "\n" for row in [list(header), *rows]).encode()


def files() -> dict[str, bytes]:
    """Every dataset file by name, for all parties."""
    out: dict[str, bytes] = {}
    for party in PARTIES:
        persons, appointments = tables(party)
        out[f"Personen_{party.name}.csv"] = csv_bytes(PERSONEN, persons)
        out[f"Aanstellingen_{party.name}.csv"] = csv_bytes(AANSTELLINGEN, appointments)
    return out


def main(argv: Sequence[str]) -> None:
    folder = Path(argv[1]) if len(argv) > 1 else Path(__file__).resolve().parent.parent
    for name, content in files().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv)
