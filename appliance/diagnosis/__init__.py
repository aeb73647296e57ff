"""Why is there no audio? Facts of a call in, causes in a voice engineer's words out. Pure: no clock, no network."""
