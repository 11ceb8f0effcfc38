"""The committed data: reproducible, and such that the scenarios' answers follow from it."""

import csv
import os
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

import generate

FOLDER = Path(generate.__file__).resolve().parent.parent

# What platform/scenarios expects; computed below from the files alone.
MEANS = {
    ("UVA",): ("10.596", "10.058"),
    ("VU",): ("10.350", "9.731"),
    ("UVA", "VU"): ("10.480", "9.892"),
}


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter=";"))


def test_the_generator_gives_the_committed_bytes():
    for name, content in generate.files().items():
        assert (FOLDER / name).read_bytes() == content, name


def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, generate.__file__, str(tmp_path)], check=True, env=environment)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == generate.files()


@pytest.mark.parametrize("party", ["UVA", "VU"])
def test_the_tables_hold_together(party):
    persons = read(f"Personen_{party}.csv")
    numbers = {person["Unieknr"] for person in persons}
    appointments = read(f"Aanstellingen_{party}.csv")
    assert len(numbers) == len(persons)
    assert 9_500 <= len(persons) <= 11_000
    assert 9_500 <= len(appointments) <= 11_000
    assert {person["Geslacht"] for person in persons} == {"M", "V"}
    assert {appointment["Unieknr"] for appointment in appointments} < numbers
    assert all(5 <= int(appointment["Salschal"]) <= 18 for appointment in appointments)
    assert all(row["Instcode"] == party for row in [*persons, *appointments])
    keys = [(appointment["Unieknr"], appointment["Volgnrar"]) for appointment in appointments]
    assert len(set(keys)) == len(keys)


def test_nobody_is_in_two_parties():
    uva, vu = ({row["Unieknr"] for row in read(f"Personen_{party}.csv")} for party in ("UVA", "VU"))
    assert not uva & vu


@pytest.mark.parametrize("parties", MEANS)
def test_the_means_that_the_scenarios_expect_follow_from_the_files(parties):
    scales: dict[str, list[int]] = defaultdict(list)
    for party in parties:
        gender = {person["Unieknr"]: person["Geslacht"] for person in read(f"Personen_{party}.csv")}
        for appointment in read(f"Aanstellingen_{party}.csv"):
            scales[gender[appointment["Unieknr"]]].append(int(appointment["Salschal"]))
    means = (Fraction(sum(scales[key]), len(scales[key])) for key in ("M", "V"))
    found = tuple(str(Decimal(round(mean * 1000)) / 1000) for mean in means)
    assert tuple(map(Decimal, found)) == tuple(map(Decimal, MEANS[parties]))


@pytest.mark.parametrize(
    ("scenario", "answers"), [("compute-to-data", [("UVA",), ("VU",)]), ("data-through-ttp", [("UVA", "VU")])]
)
def test_the_scenarios_expect_these_means(scenario, answers):
    text = (FOLDER.parent.parent / "scenarios" / f"{scenario}.yaml").read_text()
    assert "dataProviders: [UVA, VU]" in text
    assert text.count("json:") == len(answers)
    for parties in answers:
        men, women = MEANS[parties]
        assert f"avg_salary_scale_men: {men}, avg_salary_scale_women: {women}" in text
