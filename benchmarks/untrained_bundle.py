"""A bundle of a recipe with random weights: as fast as a trained one, and at once.

.venv-train/bin/python -m benchmarks.untrained_bundle RECIPE.toml --data TABLE.csv --bundles DIR
"""

import argparse
from datetime import date
from pathlib import Path

from model.config import read_recipe
from model.export import export_forecast
from model.forecasting import forecast_spec, load_data
from model.preprocessing import read_table
from model.runs import build_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundles", type=Path, required=True)
    arguments = parser.parse_args()

    recipe = read_recipe(arguments.recipe)
    table = read_table(arguments.data, recipe.data)
    spec = forecast_spec(recipe, table)
    data = load_data(arguments.data, recipe, spec)
    provenance = {"data_sha256": table.sha256, "date": date.today().isoformat(), "history": "untrained"}
    bundle = export_forecast(recipe, spec, build_model(recipe, spec).eval(), data, provenance, arguments.bundles)
    print(f"wrote {bundle.path}")


if __name__ == "__main__":
    main()
