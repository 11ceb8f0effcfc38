"""Write the synthetic CSV files: yearly_building and yearly_weather for each party.

    python3 buildings.py [FOLDER]     # default: the folder above this one

No such building exists. The same version of this file gives the same bytes on every machine, because it draws with
nothing but ``random.Random(seed).random()``. A test compares the committed files with a fresh run.
"""

import random
import sys
from pathlib import Path

USES = ("Education", "Office", "Residential", "Laboratory")
# kWh per square metre and year, and how much of it each degree below 18 adds.
INTENSITY = {"Education": (90, 0.03), "Office": (110, 0.025), "Residential": (70, 0.045), "Laboratory": (260, 0.015)}
PARTIES = {"UVA": (1632, 300, 10.6), "VU": (1880, 280, 10.1)}  # seed, buildings, mean temperature


def tables(party: str) -> dict[str, str]:
    seed, count, warm = PARTIES[party]
    draw = random.Random(seed).random
    building = ["building_id,primary_use,square_meters,year_built,floors,consumption"]
    weather = ["building_id,air_temperature,cloud_coverage,wind_speed"]
    number = seed * 10
    for _ in range(count):
        number += 1 + int(draw() * 9)
        use = USES[int(draw() * len(USES))]
        area, year, floors = 200 + int(draw() * draw() * 20_000), 1900 + int(draw() * 123), 1 + int(draw() * 12)
        temperature = round(warm + draw() * 3 - 1.5, 2)
        base, cold = INTENSITY[use]
        insulation = 1.3 - (year - 1900) / 300
        used = area * base * insulation * (1 + cold * (18 - temperature)) * (0.95 + draw() * 0.1)
        building.append(f"{number},{use},{area},{year},{floors},{used:.0f}")
        if draw() < 0.95:  # of the others nobody measured the weather
            weather.append(f"{number},{temperature:.2f},{draw() * 8:.1f},{2 + draw() * 6:.2f}")
    return {
        f"yearly_building_{party}.csv": "\n".join(building) + "\n",
        f"yearly_weather_{party}.csv": "\n".join(weather) + "\n",
    }


def files() -> dict[str, str]:
    return {name: text for party in PARTIES for name, text in tables(party).items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    for name, text in files().items():
        (folder / name).write_text(text)
