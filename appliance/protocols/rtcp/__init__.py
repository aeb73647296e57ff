"""RTCP as far as the control process reads it; media workers parse and check the packets (kernels/flow/reports.pxd)."""
