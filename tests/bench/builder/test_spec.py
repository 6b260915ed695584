"""Mistakes in a spec are named in one line."""

from __future__ import annotations

import pytest

from bench.__main__ import main
from bench.builder.spec import DEFAULT, read_spec


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("writer.modle=x", "writer: unknown key 'modle', did you mean 'model'?"),
        ("shares.ages={1-2: 1}", "shares: unknown key 'ages', did you mean 'age'?"),
        ("shares.shot={knee: 1}", "shot has no 'knee'; there are portrait, upper_body, full_body"),
        ("shares.subject={human: 0}", "subject needs a value of a weight above 0"),
        ("shares.objects={cup: -1}", "the weights of objects must be numbers of at least 0"),
        ("shares.duration_s={30-27: 1}", "'30-27' is not a span such as 27-30"),
        ("shares.size={big: 1}", "'big' is not a size such as 832x1216"),
        ("shares.mode={sing: 1}", "name speech.singing_model, or add real singing by hand"),
        ("verdict.model=Qwen/Qwen3-VL-235B-A22B-Instruct", "would judge what it wrote"),
        ("speech.voices={en_female: [a]}", "speech.voices has none for en_male, en_unknown, cn_female"),
        ("image.url=localhost:8000", "not an address of a server"),
        ("target=0", "target, max_attempts, workers and num_reviewers must be at least 1"),
        ("target=many", "target: Input should be a valid integer"),
        ("writer.letters_per_s={en: 17}", "letters_per_s needs a rate above 0 for each of en, cn"),
    ],
)
def test_mistakes(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"default\.yaml") as caught:
        read_spec(DEFAULT, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_model_may_do_both_when_told() -> None:
    spec = read_spec(DEFAULT, ["verdict.model=Qwen/Qwen3-VL-235B-A22B-Instruct", "verdict.allow_same_model=true"])
    assert spec.verdict.model == spec.writer.model


def test_the_command_line_says_it_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("build")
    assert main(["build", "plan", "--build", str(folder / "a"), "--set", "writer.modle=x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["build", "run", "--build", str(folder / "a")]) == 2
    assert "holds no build" in capsys.readouterr().err
    assert not (folder / "a").exists()
    assert main(["build", "plan", "--build", str(folder / "b"), "--set", "target=5"]) == 0
    assert "5 samples" in capsys.readouterr().out
    assert main(["build", "plan", "--build", str(folder / "b"), "--set", "target=6"]) == 2
    assert "is there already and differs" in capsys.readouterr().err
