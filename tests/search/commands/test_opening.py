from pathlib import Path

import pytest

from search.commands.opening import require_same_folds
from search.folder import SearchFolder
from segcore.data.dividing.own_folds import OwnFolds
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import ConfigError


def test_a_search_goes_on_with_its_own_folds_and_not_beside_a_file_that_says_others(tmp_path):
    folder, file, fold_of = SearchFolder(root=tmp_path), Path("folds.csv"), {"a": 0, "b": 1, "c": None}
    write_folds(FoldSplit(folds=2, fold_of=fold_of, block_of=dict(zip("abc", "abc", strict=True))), folder.folds)
    require_same_folds(folder, OwnFolds(file=file, fold_of=dict(reversed(fold_of.items()))))
    for changed, told in (({"b": 0, "c": 1}, "2 images"), ({"d": None}, "1 image")):
        with pytest.raises(ConfigError, match=f"folds.csv has {told} in another fold than search .*, such as '[bd]'"):
            require_same_folds(folder, OwnFolds(file=file, fold_of=fold_of | changed))
