"""What scores of a few hundred videos can and cannot say: intervals, paired tests, coverage, slices, agreement."""
