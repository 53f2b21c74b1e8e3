"""What readers see: results, figures, tables, provenance and the book."""
