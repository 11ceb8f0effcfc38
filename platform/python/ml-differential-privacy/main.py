"""Add noise to the table's numbers, so that no single value can be told from it."""

from dynamos.frame_service import run
from privacy import privatize

if __name__ == "__main__":
    run("ml-differential-privacy", privatize)
