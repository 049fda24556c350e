"""Read Nsight Systems exports into columns, exactly and without touching the file."""
