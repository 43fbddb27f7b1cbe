"""What was found, for people: charts, a self-contained HTML page and a terminal summary."""
