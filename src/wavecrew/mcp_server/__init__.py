"""wavecrew as a server of tools, by the Model Context Protocol: for the assistant of a person, and inside of a phase.

What it does: offers the verbs of the command line to the one, and three tools that speak with the coordinator to the
other. Which of the two it is follows from where it was started, and never from what a client says.
What it does not know: the engine, and what the verbs mean.
"""
