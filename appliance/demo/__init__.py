"""The demonstration call: RTP on one side, SRTP on the other, through the running gateway, verified at both ends."""
