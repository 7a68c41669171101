"""What was asked and what was answered: written before it is answered, recovered after a crash, kept as Parquet."""
