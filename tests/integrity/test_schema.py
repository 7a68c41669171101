"""The rules of what uses what, and of what names a file, cover the whole schema."""

import sqlalchemy as sa

from modelwright.store import references, schema, usage

LINKS = {
    f"{table.name}.{link.parent.name}": link.column.table.name
    for table in schema.metadata.sorted_tables
    for link in table.foreign_keys
}


def test_every_foreign_key_says_whether_a_row_is_part_of_what_it_points_to_or_keeps_it() -> None:
    told = [*usage.PARTS, *usage.KEEPERS]
    assert len(told) == len(set(told))
    assert {link for link, target in LINKS.items() if target not in usage.FOREVER} == set(told)


def test_every_foreign_key_refuses_to_lead_nowhere() -> None:
    rules = {link.ondelete for table in schema.metadata.sorted_tables for link in table.foreign_keys}
    assert rules == {"RESTRICT"}


def test_nothing_points_to_what_goes_with_another_unless_it_goes_too() -> None:
    parts = {link.partition(".")[0] for link in usage.PARTS}
    assert {link for link, target in LINKS.items() if target in parts} <= {*usage.PARTS}


def test_every_column_of_digests_and_of_json_says_whether_it_names_blobs() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.sorted_tables
        for column in table.columns
        if "digest" in column.name or isinstance(column.type, sa.JSON)
    }
    told = [*references.NAMING, *references.LISTING, *references.OTHER]
    assert len(told) == len(set(told))
    assert found <= set(told)
