"""Where a trace's tables come from: a file opened without changing it, read by SQLite, by its pages, or as Parquet."""
