"""Chains with top-k, compiled by numba for the CPU. `temperament.ops` is the specification."""
