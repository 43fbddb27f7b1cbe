"""What is asked. A task generates, renders and verifies problems."""

from stratagem.tasks.finite_field.field import FiniteField

TASKS = {"finite_field": FiniteField}
