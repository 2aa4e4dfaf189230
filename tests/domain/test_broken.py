"""What is read out of records that are wrong, and never out of rubbish."""

from algoplatform.domain.broken import dependencies_of, id_of, identity_of, name_of
from algoplatform.domain.reference import ImageReference
from tests.support.images import minimal


def test_what_a_broken_record_still_tells() -> None:
    """Name, tag and dependencies are read out of a record that is wrong elsewhere, and out of rubbish never."""
    data = minimal("algo/a", "1", factory=1, dependencyServiceId="algo/b:1,algo/a:1")
    assert str(name_of(data)) == "algo/a"
    assert identity_of(data) == ImageReference.parse("algo/a:1")
    assert dependencies_of(data) == (ImageReference.parse("algo/b:1"),)
    for rubbish in (None, 1, True, "", "A", "\ud800", [], ["a"] * 300, {}, dict.fromkeys(map(str, range(300)))):
        assert identity_of(minimal() | {"imageName": rubbish}) is None
        assert name_of(minimal() | {"imageName": rubbish}) is None
        assert identity_of(minimal() | {"imageTag": [rubbish]}) is None
        assert name_of(minimal() | {"imageTag": [rubbish]}) is not None
        assert id_of(rubbish) is None
        assert dependencies_of({"dependencyServiceId": rubbish}) == ()
    assert id_of("0" * 32) == "0" * 32
    assert identity_of({}) is None
    assert dependencies_of({}) == ()
    assert dependencies_of({"dependencyServiceId": "a:1" + ",b:1" * 1024}) == ()
