"""A page that says what is not so is found out, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.tutorial import Block, Checkout, blocks

PAGE = """\
# A greeting

`greet.py`:

```python
NAME = "you"

print("hello", NAME)
```

It greets you. Make it greet the world:

```diff
--- a/greet.py
+++ b/greet.py
@@ -1,3 +1,3 @@
-NAME = "you"
+NAME = "world"

 print("hello", NAME)
```

```sh
python3 greet.py
echo "and    good day"
```

```text
hello …
and good day
```

```console
$ make greetings
```
"""


def follow(folder: Path, page: str) -> list[str]:
    (folder / "page.md").write_text(page)
    return Checkout(folder).follow(folder / "page.md")


def test_blocks_are_found_with_their_files() -> None:
    found = blocks(PAGE)
    assert [(block.language, block.line) for block in found] == [
        ("python", 5), ("diff", 13), ("sh", 23), ("text", 28), ("console", 33),
    ]  # fmt: skip
    assert found[0] == Block(language="python", text='NAME = "you"\n\nprint("hello", NAME)\n', line=5, path="greet.py")
    assert [block.path for block in found[1:]] == [None] * 4


def test_what_a_page_says_is_done(tmp_path: Path) -> None:
    assert follow(tmp_path, PAGE) == ["greet.py"]
    assert 'NAME = "world"' in (tmp_path / "greet.py").read_text()


@pytest.mark.parametrize(
    ("before", "after", "line", "problem"),
    [
        ('-NAME = "you"', '-NAME = "me"', 13, "the change does not fit the files"),
        ("python3 greet.py", "false", 23, "exit status 1 of"),
        ("python3 greet.py", "python3 -c '1 / 0' | cat", 23, "exit status 1 of"),
        ("hello …", "hallo …", 28, "not printed: hallo …"),
        ("hello …\nand good day", "and good day\nhello …", 28, "not printed: hello …"),
        ("`greet.py`:", "greet.py", 5, "a block of python without a path is not done"),
        ("`greet.py`:", "`page.md`:", 5, "page.md is there already"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, before: str, after: str, line: int, problem: str) -> None:
    assert PAGE.count(before) == 1
    with pytest.raises(AssertionError) as error:
        follow(tmp_path, PAGE.replace(before, after))
    assert str(error.value).startswith(f"page.md:{line}: {problem}")


def test_a_fence_that_stays_open_is_an_error() -> None:
    with pytest.raises(AssertionError, match="the fence of line 3 is never closed"):
        blocks("# Title\n\n```sh\nls\n")
