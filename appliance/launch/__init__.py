"""Starting the gateway's processes on this host in the foreground (`srtpgw up`); in the field systemd does it."""
