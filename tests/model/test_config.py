from pathlib import Path

import pytest

from contract.errors import FaultyRecipe
from model.architectures import ARCHITECTURES
from model.config import DataConfig, Recipe, TrainingConfig, parse_recipe, read_recipe
from model.informer import InformerConfig

KNOWN = ", ".join(ARCHITECTURES)
LEAST = 'name = "tiny"\nseed = 1\narchitecture = "informer"\n'
SHIPPED = sorted((Path(__file__).parents[2] / "model" / "recipes").glob("*.toml"))


def faults(text):
    with pytest.raises(FaultyRecipe) as caught:
        parse_recipe(text)
    return [(fault.pointer, fault.message) for fault in caught.value.faults]


def test_the_least_recipe_is_the_paper_s():
    recipe = parse_recipe(LEAST)
    assert recipe == Recipe("tiny", 1, "informer", InformerConfig(), DataConfig(), TrainingConfig(), LEAST)


def test_every_field_is_read():
    text = (
        LEAST
        + """
        [data]
        columns = ["OT", "HUFL"]
        units = { OT = "°C" }
        time_column = "date"
        frequency = "15min"
        borders = [10, 20, 30]
        fractions = [0.5, 0.25, 0.25]
        fill = "seasonal"
        fill_limit = 7
        source = "a logger"
        [model]
        seq_len = 48
        distil = false
        attention = "full"
        [training]
        batch_size = 8
        epochs = 2
        patience = 1
        learning_rate = 1
        lr_decay = 0.9
        weight_decay = 0.01
        """
    )
    recipe = parse_recipe(text)
    assert recipe.data == DataConfig(
        ("OT", "HUFL"), {"OT": "°C"}, "date", "15min", (10, 20, 30), (0.5, 0.25, 0.25), "seasonal", 7, "a logger"
    )
    assert recipe.model == InformerConfig(seq_len=48, distil=False, attention="full")
    assert recipe.training == TrainingConfig(8, 2, 1, 1.0, 0.9, 0.01)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_sound_and_named_as_its_file(path):
    assert read_recipe(path).name == path.stem


def test_some_recipe_is_shipped():
    assert SHIPPED


@pytest.mark.parametrize(
    ("text", "pointer", "message"),
    [
        ("name = ", "", "expected TOML: "),
        (
            LEAST.replace("informer", "oracle"),
            "/architecture",
            f'expected one of {KNOWN}, came "oracle"',
        ),
        (
            LEAST.replace('"informer"', '["informer"]'),
            "/architecture",
            f'expected one of {KNOWN}, came ["informer"]',
        ),
        ("", "/architecture", f"expected one of {KNOWN}, came null"),
        (LEAST.replace("seed = 1\n", ""), "/seed", "required, but missing"),
        (LEAST.replace("1", "true"), "/seed", "expected an integer, came true"),
        (LEAST.replace("1", "-1"), "", "expected a seed from 0 to 2^63 - 1, came -1"),
        (LEAST.replace("1", "9223372036854775808"), "", "expected a seed from 0 to"),
        (LEAST.replace("tiny", "Tiny Model"), "", 'expected a name of [a-z0-9][a-z0-9._-]{0,63}, came "Tiny Model"'),
        (LEAST + 'text = "mine"', "/text", "unknown field"),
        (LEAST + "model = 3", "/model", "expected a table of fields, came 3"),
        (LEAST + "[model]\nwidth = 3", "/model/width", "unknown field; expected one of attention, d_ff, d_layers,"),
        (LEAST + '[model]\nattention = "sparse"', "/model/attention", 'expected one of "probsparse", "full", came'),
        (LEAST + "[model]\nd_model = 12", "/model", "expected n_heads to divide d_model, came 8 and 12"),
        (LEAST + '[data]\nfrequency = "often"', "/data", "expected a frequency such as 15min"),
        (LEAST + "[data]\nborders = [10, 20]", "/data", "expected borders of three growing row numbers, came [10, 20]"),
        (LEAST + "[data]\nborders = [10, 10, 20]", "/data", "expected borders of three growing row numbers"),
        (LEAST + "[data]\nborders = [0, 10, 20]", "/data", "expected borders of three growing row numbers"),
        (LEAST + "[data]\nfractions = [0.7, 0.2, 0.2]", "/data", "expected three positive fractions of at most 1"),
        (LEAST + "[data]\nfractions = [1.0, 0, 0]", "/data", "expected three positive fractions of at most 1"),
        (LEAST + "[data]\nfractions = [0.5, 0.5]", "/data", "expected three positive fractions of at most 1"),
        (LEAST + '[data]\ncolumns = ["a", 1]', "/data/columns/1", "expected a string, came 1"),
        (LEAST + '[data]\ncolumns = ["a", "a"]', "/data", "expected each column once, came a, a"),
        (LEAST + "[training]\nbatch_size = 0", "/training", "expected batch_size above 0, came 0"),
        (LEAST + "[training]\nepochs = -1", "/training", "expected epochs above 0, came -1"),
        (LEAST + "[training]\nepochs = 1.5", "/training/epochs", "expected an integer, came 1.5"),
        (LEAST + "[training]\npatience = 0", "/training", "expected patience above 0, came 0"),
        (LEAST + "[training]\nlearning_rate = 0", "/training", "expected learning_rate above 0, came 0.0"),
        (LEAST + "[training]\nlr_decay = 0.0", "/training", "expected lr_decay above 0, came 0.0"),
        (LEAST + "[training]\nweight_decay = -1", "/training", "expected weight_decay from 0 on, came -1.0"),
    ],
)
def test_names_the_fault(text, pointer, message):
    ((came_pointer, came_message),) = faults(text)
    assert came_pointer == pointer
    assert came_message.startswith(message)


def test_lists_every_fault():
    text = 'architecture = "informer"\nnmae = "x"\n[model]\nwidth = 3\nseq_len = "96"\n[training]\nepochs = 0'
    assert [pointer for pointer, _ in faults(text)] == [
        "/model/width",
        "/model/seq_len",
        "/nmae",
        "/name",
        "/seed",
        "/training",
    ]


def test_says_which_file_cannot_be_read(tmp_path):
    with pytest.raises(FaultyRecipe, match=r"cannot read .*none\.toml: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_refuses_what_is_not_utf8(tmp_path):
    (tmp_path / "latin.toml").write_bytes(LEAST.encode() + "# 20 °C".encode("latin-1"))
    with pytest.raises(FaultyRecipe, match="expected TOML, which is UTF-8"):
        read_recipe(tmp_path / "latin.toml")
