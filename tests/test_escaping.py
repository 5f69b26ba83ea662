from harness.escaping import latex, markdown, plain


def test_control_characters_become_spaces():
    assert plain("a\x1b[31mred\nline\ttab") == "a [31mred line tab"
    assert plain("Überraschung − 1") == "Überraschung − 1"


def test_markdown_shows_the_characters_themselves():
    assert markdown("[1,3] *b* _c_ |d| <e>\n#f") == r"\[1,3\] \*b\* \_c\_ \|d\| \<e\> \#f"


def test_latex_shows_the_characters_themselves():
    assert latex("50% of a_b & {c} \\x") == r"50\% of a\_b \& \{c\} \textbackslash{}x"
    assert latex("−1 < 2 *") == r"$-$1 \textless{} 2 \textsuperscript{*}"


def test_latex_takes_no_brackets_for_an_argument_and_makes_no_dashes():
    assert latex("[1,3] --run|") == r"{[}1,3{]} -{}-run\textbar{}"
    assert latex("a---b") == "a-{}-{}-b"
