"""Who does the work of a study: processes of this machine, TRL, or the nodes of a Ray cluster."""
