"""A language model that names strategies by a rubric: what it is asked, what counts as an answer, what is kept."""
