"""Reading name, tag and dependencies of invalid records."""

from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.partial import Readable, id_of, read
from tests.support.images import minimal


def test_what_a_broken_record_still_tells() -> None:
    """Valid names, tags and dependencies of an otherwise invalid record are read, invalid ones are not."""
    said = read(minimal("algo/a", "1", factory=1, dependencyServiceId="algo/a:1,algo/b:1"))
    assert str(said.name) == "algo/a"
    assert said.identity == ImageReference.parse("algo/a:1")
    assert str(said.dependencies) == "algo/a:1,algo/b:1"
    assert said.needs == [(2, ImageReference.parse("algo/b:1"))]
    for rubbish in (None, 1, True, "", "A", "\ud800", [], ["a"] * 300, {}, dict.fromkeys(map(str, range(300)))):
        nameless = read(minimal() | {"imageName": rubbish})
        assert (nameless.name, nameless.identity) == (None, None)
        tagless = read(minimal() | {"imageTag": [rubbish]})
        assert (str(tagless.name), tagless.identity) == ("algo/a", None)
        assert id_of(rubbish) is None
        assert read({"dependencyServiceId": rubbish}).needs == []
    assert id_of("0" * 32) == "0" * 32
    assert read({}) == Readable(None, None, None)
    assert read({"dependencyServiceId": "a:1" + ",b:1" * 1024}).dependencies is None


def test_names_and_tags_are_no_longer_than_their_fields() -> None:
    """Values that exceed the length limit of their field are not read."""
    assert read(minimal("a" * 256)).name is None
    assert read(minimal("a" * 255, "b" * 129)).identity is None
    assert read(minimal("a" * 255, "b" * 128)).identity is not None
