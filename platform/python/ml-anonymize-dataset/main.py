"""Put pseudonyms in place of the buildings' numbers."""

from anonymize import anonymize
from dynamos.frame_service import run

if __name__ == "__main__":
    run("ml-anonymize-dataset", anonymize)
