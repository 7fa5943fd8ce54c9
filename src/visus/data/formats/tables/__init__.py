"""Tables: CSV, TSV, JSON lines, Parquet."""
