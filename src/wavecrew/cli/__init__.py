"""The command line: arguments in, one call of `api`, text out, an exit code. It takes no decisions of its own."""
