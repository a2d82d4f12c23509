"""Six benchmarks, a file each; `__main__` is the command line in front of them."""
