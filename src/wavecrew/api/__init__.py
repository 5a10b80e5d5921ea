"""The composition root: the only floor that knows how the rooms below fit together.

`plans` reads and checks, `runs` prepares and executes, `history` opens what was run, `workspace` finds where. The
command line calls the same functions as any Python program; each module loads only what it needs.
"""
