"""Texts, vectors and pictures in tables: CSV, JSON Lines, Parquet."""
