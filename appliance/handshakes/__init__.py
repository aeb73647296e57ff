"""DTLS handshakes of many legs: inline in the event loop, or in processes of their own."""
