"""What a campaign begins with and ends in: questions, traces, and a corpus in the dataset's layout."""
