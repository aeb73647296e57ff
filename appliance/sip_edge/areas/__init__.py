"""Kamailio's configuration, subject by subject: each file here says which modules a subject needs and how they are set.

An area is made from the settings alone; `render` puts them together. What the routing script has to know of the same
subject is in `ksr/rules`.
"""
