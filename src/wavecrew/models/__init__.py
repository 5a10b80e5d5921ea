"""The functional core: values and pure functions. No disk, clock, process, network or randomness."""
