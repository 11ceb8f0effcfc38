"""Put rows that nobody measured, drawn like those that were, in place of the table."""

from dynamos.frame_service import run
from synthesize import synthesize

if __name__ == "__main__":
    run("ml-synthetic-dataset-generation", synthesize)
