"""The operators that steps run as, one a file: rows in, rows out."""
