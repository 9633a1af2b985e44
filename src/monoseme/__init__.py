"""monoseme."""
