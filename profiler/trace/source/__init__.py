"""Where a trace's tables come from: SQLite's library, a fast reader of its file format, or a folder of Parquet files."""
