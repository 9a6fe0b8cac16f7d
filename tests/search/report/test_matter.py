import html
import re

from search.report.matter import command_block


def test_a_command_breaks_between_words_alone():
    """What stands in an element of its own breaks where it does not fit into a line, and not at its hyphens before."""
    block = command_block(["python -m search status a<b --watch", "ls /data/my-streets"])
    assert re.findall("<span>(.*?)</span>", block) == ["-m", "--watch", "/data/my-streets"]
    read = html.unescape(re.sub("<[^>]*>", "", block))
    assert read == "python -m search status a<b --watch\nls /data/my-streets", "what is copied is what was given"


def test_without_commands_there_is_no_block():
    assert command_block([]) == ""
