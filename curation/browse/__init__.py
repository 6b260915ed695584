"""Looking through a run's clips: what is searched, filtered and compared, the server of the page, and its export."""
