"""The status and message of each error."""

from collections.abc import Iterator

import pytest

from algoplatform.domain import errors
from algoplatform.domain.errors import AlgoplatformError, clip, clip_reference
from algoplatform.domain.faults import Code, Fault, Flaw, RecordFault

FAULTS = [Fault("imageTag", Code.IMAGE_TAG, "甲"), Fault("env", Code.ENV, "乙")]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (AlgoplatformError(), "-500", ""),
        (errors.Refused(FAULTS), "222", "甲；乙"),
        (errors.BadRequest("坏"), "-1", "坏"),
        (errors.BodyTooLarge(1024), "-413", "请求体超过上限1024字节"),
        (errors.MediaTypeRefused("类型"), "-415", "类型"),
        (errors.ImageNotFound("x" * 100), "204", "镜像不存在：" + "x" * 63 + "…"),
        (errors.ImageInUse(["a:1", "b:1"], 2), "220", "镜像不能删除，以下镜像依赖它：a:1，b:1"),
        (
            errors.ImageInUse(["a" * 70 + ":1"], 7),
            "220",
            "镜像不能删除，以下镜像依赖它：" + "a" * 63 + "…:1等7个镜像",
        ),
        (errors.Forbidden("不可"), "240", "不可"),
        (errors.Unauthenticated("缺少令牌", token_given=False), "-401", "缺少令牌"),
        (errors.VersionConflict(), "-412", "镜像已被他人修改，请重新查询后再试"),
        (errors.RequestRunning(), "-409", "相同Idempotency-Key的请求正在处理，请稍后重试"),
        (errors.Unavailable(), "-503", "服务暂时不可用，请稍后重试"),
    ],
)
def test_status_and_words(error: AlgoplatformError, code: str, message: str) -> None:
    assert (error.code, error.message, str(error)) == (code, message, message)


def test_every_refusal_stands_in_the_tree() -> None:
    """The docstring of the module lists every error class."""
    assert errors.__doc__ is not None
    for kind in AlgoplatformError.__subclasses__():
        assert kind.__module__ != errors.__name__ or f"─ {kind.__name__} " in errors.__doc__


def test_faults_of_a_file_run_together() -> None:
    """Faults are concatenated as `imageName + imageTag + ":" + fault`, and the unlisted ones counted."""
    shown = [RecordFault(position, f"algo/a{position}", fault) for position, fault in enumerate(FAULTS, 1)]
    whole = errors.FileRefused(shown, 2)
    assert (whole.code, whole.message) == ("-1", "algo/a1:甲algo/a2:乙")
    assert errors.FileRefused(shown, 2, forbidden=True).code == "240"
    cut = errors.FileRefused(shown, 5)
    assert str(cut) == "algo/a1:甲algo/a2:乙……另有3处错误未列出"
    assert (cut.record_faults, cut.total) == (shown, 5)


def test_very_many_faults() -> None:
    """At most 200 faults of a record are listed; the message gives the number of others, or a lower bound."""
    many = errors.Refused(FAULTS * 150, more=7)
    assert (len(many.faults), many.total) == (200, 307)
    assert many.message == "甲；乙；" * 99 + "甲；乙……另有107处错误未列出"
    assert errors.Refused(FAULTS * 101, at_least=True).message.endswith("乙……至少还有2处错误未列出")
    assert errors.Refused(FAULTS * 100, more=10_000).message.endswith("乙……至少还有10000处错误未列出")
    assert errors.Refused(FAULTS, at_least=True).message == "甲；乙"
    assert str(errors.FileRefused([], 5, at_least=True)) == "……至少还有5处错误未列出"


def test_malformed_takes_no_more_flaws_than_are_told() -> None:
    """At most 21 flaws are consumed, as 20 are listed."""
    looked = []

    def flaws(count: int) -> Iterator[Flaw]:
        for number in range(count):
            looked.append(number)
            yield Flaw("甲", number)

    error = errors.Malformed.first(flaws(5000))
    assert len(looked) == 21
    assert error.flaws == [*(Flaw("甲", number) for number in range(20)), Flaw("还有更多错误，只列出前20处")]
    assert error.cut
    whole = errors.Malformed.first(flaws(20))
    assert (len(whole.flaws), whole.cut) == (20, False)


def test_malformed_keeps_its_faults() -> None:
    """Malformed is a ValueError whose message joins its faults."""
    error = errors.Malformed("甲", "乙")
    assert (error.faults, str(error), isinstance(error, ValueError)) == (("甲", "乙"), "甲；乙", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 63 + "…"),
        ("易" * 65, "易" * 63 + "…"),
        ("a\x00\n", "a\x00\n"),
        ("a\ud800", "a\\ud800"),
    ],
)
def test_clip(text: str, shown: str) -> None:
    """Echoed text has at most 64 characters and is encodable as UTF-8."""
    assert clip(text) == shown
    clip(text).encode()


def test_clip_of_a_reference() -> None:
    """Name and tag are truncated separately to 64 characters, so that the tag is always visible."""
    assert clip_reference("h:5000/a:1") == "h:5000/a:1"
    assert clip_reference(f"{'a' * 64}:{'b' * 64}") == f"{'a' * 64}:{'b' * 64}"
    assert clip_reference(f"{'a' * 65}:{'b' * 65}") == f"{'a' * 63}…:{'b' * 63}…"


def test_clip_of_surrogates_is_no_longer_than_64() -> None:
    """Escaping lone surrogates does not exceed the limit of 64 characters."""
    assert len(clip("\ud800" * 1000)) <= 64
