"""The web page of a run, served to this machine only.

What it does: shows what the events of a run add up to, live, and passes on what people want of it (`api.control`).
What it does not know: the engine. It reads the store like any other process, and nothing in a run waits for it.
"""
