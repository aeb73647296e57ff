"""The machine under the gateway as control follows it: firmware_iface joined with what the gateway does."""
