"""docs/claims.md has every claim of every study that ships, in the study's own words."""

from __future__ import annotations

import re

import pytest

from stratagem.studies.files import shipped
from stratagem.studies.study import read_study
from tests.docs.tutorial import ROOT

PAGE = (ROOT / "docs" / "claims.md").read_text()
VERDICTS = ("upheld", "refuted", "undecided", "not run yet")


@pytest.mark.parametrize("name", shipped())
def test_each_claim_has_its_row(name: str) -> None:
    for claim in read_study(name).claims:
        row = re.search(rf"^\| `{name}` \| {claim.id} \| (.*?) \| (.*?) \|", PAGE, re.MULTILINE)
        assert row is not None, f"{name} {claim.id}"
        assert row[1] == claim.statement
        assert row[2].strip("*") in VERDICTS
