"""What the settings tell the routing script, subject by subject, and the decisions that need no Kamailio: pure,
standard library only. Defaults are "off": a table that says nothing changes nothing."""
