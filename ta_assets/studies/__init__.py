"""Study files: their sections, how they are read, and the shipped ones."""
