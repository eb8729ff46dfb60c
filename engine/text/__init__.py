"""Full text: analysis, BM25 over a Tantivy index, queries in free text, highlights."""
