"""Changing the SIP edge while it runs: one file per noun, all of them through `edge.Edge`."""
