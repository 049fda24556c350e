"""The gate: candidates for a kernel run behind a named flag, in a child process, and are admitted or refused with a reason."""
