"""Matrix products by CUTLASS: small libraries built from its headers, each one kernel behind two C functions."""
