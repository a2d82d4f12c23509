"""The stages in Triton, for GPUs. `temperament.ops` is the specification."""
