"""Train a model of the buildings' consumption and answer how well it does: the end of an mlRequest's chain."""

from dynamos.frame_service import run
from training import train

if __name__ == "__main__":
    run("ml-model-training", train)
