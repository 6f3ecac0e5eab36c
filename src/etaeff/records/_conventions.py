"""What studies and reports agree on: the files of a study's folder, and when a run is settled."""

from typing import Final

# The store, and what is made from it for other programs.
STORE_FILE: Final = "study.sqlite"
RESULTS_FILE: Final = "results.parquet"  # a row for each trial
EPOCHS_FILE: Final = "epochs.parquet"  # a row for each trial, epoch and layer
RESCALINGS_FILE: Final = "rescalings.parquet"  # a row for each trial, factor and ε
CLAIMS_FILE: Final = "claims.json"

# Final values are means over this last share of a trial's epochs.
TAIL: Final = 0.1
# Runs of fewer steps than this many times 1/x are not counted as settled; x is the share of the
# weight that decay takes in a step.
SETTLED: Final = 5.0
