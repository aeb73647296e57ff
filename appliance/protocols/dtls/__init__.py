"""DTLS-SRTP (RFC 5763, RFC 5764) on OpenSSL, without sockets, clocks or threads: datagrams and `now` in, datagrams and
keys out."""
