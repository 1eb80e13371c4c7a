"""The vote that abstains is no class."""

from gristmill.label.codes import VoteCodes
from gristmill.label.vote import ABSTAIN


def test_abstaining_is_encoded_as_none_is():
    codes = VoteCodes(("ham", "spam"))
    assert codes.encode(ABSTAIN) == codes.encode(None) == ABSTAIN
