"""The stateless cookie before an association is made (RFC 6347 section 4.2.1)."""
