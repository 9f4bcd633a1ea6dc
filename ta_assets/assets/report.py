"""The page of a study, ``report/index.html``: the verdict, the comparison, every trace, every check, every origin."""

import hashlib

import dagster as dg

from ta_assets.assets.verdicts import VERDICT_ASSET
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_assets.pages.report.content import content_of
from ta_assets.pages.report.render import render
from ta_assets.studies.readme_file import report_path
from ta_resources.storage.atomic import write_file


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``report``."""
    as_asset = dg.asset(partitions_def=partitions.study, deps=[VERDICT_ASSET], code_version="1", group_name="results")
    return [as_asset(report)]


def report(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[dict[str, object]]:
    """The page of a study: one HTML file that shows the latest verdict and all that it is of; open it in a browser.

    What is stored is what the page is: its SHA-256 and that of the verdict that it shows.
    """
    study = world.studies.by_name[context.partition_key]
    content = content_of(world, study)
    page = render(content)
    path = report_path(study.name, world.store.local_folder)
    write_file(path, page)
    release = content.main["release"]
    value = {
        "sha256": hashlib.sha256(page).hexdigest(),
        "bytes": len(page),
        "verdict_sha256": release["sha256"],
        "release": release["kept_as"],
    }
    facts = {
        "page": dg.MetadataValue.url(path.as_uri()),
        "path": dg.MetadataValue.path(path),
        "verdict": release["verdict"],
        "size": len(page),
        "not_shown": len(content.main["missing"]),
    }
    return output(value, made_from(world, "report", study.name), facts)
