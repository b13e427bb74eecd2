"""A made-up table to try seqcast with: a quarter of a year of a building, every 15 minutes, as a logger leaves it.

    python3 docs/sample_table.py > building.csv

Values are missing, a few rows too, and the logger was off for a day.
"""

import math
import random
import sys
from datetime import datetime, timedelta

ROWS = 96 * 91
START = datetime(2026, 1, 5)
OFF = range(96 * 40 + 30, 96 * 41 + 30)


def main() -> None:
    dice = random.Random(1)  # noqa: S311 nothing secret about it
    sys.stdout.write("timestamp,power_kw,outdoor_c\n")
    weather = 0.0
    for row in range(ROWS):
        time = START + timedelta(minutes=15 * row)
        hour = time.hour + time.minute / 60
        weather = 0.995 * weather + dice.gauss(0, 0.25)
        outdoor = 4 + row / ROWS * 6 + 3 * math.sin((hour - 9) / 24 * math.tau) + weather
        at_work = time.weekday() < 5 and 7 <= hour < 18
        power = 22 + 35 * at_work * math.sin((hour - 6) / 13 * math.pi) + max(0, 16 - outdoor) + dice.gauss(0, 1.5)
        cells = [f"{value:.1f}" if dice.random() > 0.005 else "" for value in (power, outdoor)]
        if row not in OFF and (dice.random() > 0.003 or row == ROWS - 1):
            sys.stdout.write(f"{time.isoformat()},{','.join(cells)}\n")


if __name__ == "__main__":
    main()
