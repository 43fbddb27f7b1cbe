"""What an attacker or an accident may give: a line that names the file and the field, and nothing lost."""
