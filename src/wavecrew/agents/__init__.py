"""Translators from a phase to what has to be started. They are pure: none of them starts a process.

An agent is a class without arguments that has a `name`, a one-line `summary`, `problem(phase, command)` (why this
phase cannot be given to it, or nothing) and `prepare(phase, context)`. It is found by the entry point
`wavecrew.agents`, ours like anybody else's.
"""
