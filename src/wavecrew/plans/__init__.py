"""Reading: documents in, phases out; nothing else in the package knows markdown, YAML or the notations of plans."""
