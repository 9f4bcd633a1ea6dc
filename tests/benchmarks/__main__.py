"""``make benchmark``: every claim measured, written to ``artifacts/benchmarks/performance.json`` and printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.benchmarks import bootstrap, extraction, release

TARGET = Path("artifacts/benchmarks/performance.json")


def main() -> None:
    """Run all benchmarks; SmolLM2's folder may be given in ``TA_SMOLLM2``."""
    model = os.environ.get("TA_SMOLLM2")
    records = [*bootstrap.run(), *extraction.run(Path(model) if model else None), *release.run()]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    for record in records:
        print(f"{record['value']:12.4g} {record['comparison']} {record['bar']:<8g} {record['claim']}")
    print(TARGET)


if __name__ == "__main__":
    main()
