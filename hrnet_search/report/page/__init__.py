"""report.html: a study as one page that needs no network."""
