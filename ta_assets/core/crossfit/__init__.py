"""Out-of-fold scores: folds, fits, permutations."""
