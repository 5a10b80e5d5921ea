"""The terminal UI: a reader of the store that fills a terminal. Nothing here is loaded before it is asked for."""
