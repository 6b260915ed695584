"""The report of an evaluation: leaderboard, controls, slices, drift, players and evidence in one HTML file."""
