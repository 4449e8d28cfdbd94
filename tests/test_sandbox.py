"""What comes through `query --sql` and `shell` reads the lake and nothing else, within limits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import DetectionError
from pipeline.lake import CATALOG, INLINED_ROWS, Lake
from queries.cases import with_usual_values
from queries.grammar import TABLE_FUNCTIONS, is_denied
from queries.sandbox import Limits, Sandbox
from tests.cli import authsunset, settings_in

SECRET = "the-secret-of-the-machine"
MANY = INLINED_ROWS + 50


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the settings of a lake with a few rows, beside files that nobody may read."""
    folder = tmp_path_factory.mktemp("sandbox")
    path = settings_in(folder)
    for name in ("secret.csv", "secret.json", "secret.txt"):
        (folder / name).write_text(f'{{"a": "{SECRET}"}}\n', "utf-8")
    with sqlite3.connect(folder / "other.sqlite") as other:
        other.execute("CREATE TABLE t (a TEXT)")
        other.execute("INSERT INTO t VALUES (?)", [SECRET])
    other.close()
    duckdb.sql(f"SELECT '{SECRET}' AS a").write_parquet(str(folder / "secret.parquet"))
    with Lake.open(folder / "lake") as lake, lake.writing():
        lake.insert("deliveries", with_usual_values("deliveries", [{"times": MANY, "sender": "scan@contoso.example"}]))
        lake.insert("traces", with_usual_values("traces", [{"sender": "erp@contoso.example", "status": "delivered"}]))
    return path


@pytest.fixture(scope="module")
def sandbox(settings: Path) -> Iterator[Sandbox]:
    with Lake.open(settings.parent / "lake", read_only=True) as lake:
        yield Sandbox.of(lake, Limits(seconds=20, rows=1_000, memory_bytes=256 << 20))


FILES = [
    "SELECT * FROM '{folder}/secret.csv'",
    'SELECT * FROM "{folder}/secret.parquet"',
    "SELECT * FROM '/etc/passwd'",
    "DESCRIBE '{folder}/secret.csv'",
    "SUMMARIZE '{folder}/secret.csv'",
    "PIVOT '{folder}/secret.csv' ON a IN ('x') USING count(*)",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM READ_CSV_AUTO('{folder}/secret.csv')",
    "SELECT * FROM read_text('{folder}/secret.txt')",
    "SELECT * FROM read_blob('{folder}/secret.txt')",
    "SELECT * FROM read_json('{folder}/secret.json')",
    "SELECT * FROM read_json_objects('{folder}/secret.json')",
    "SELECT * FROM read_ndjson('{folder}/secret.json')",
    "SELECT * FROM read_parquet('{folder}/secret.parquet')",
    "SELECT * FROM parquet_scan('{folder}/secret.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/secret.parquet')",
    "SELECT * FROM parquet_schema('{folder}/secret.parquet')",
    "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "SELECT * FROM read_duckdb('{folder}/secret.duckdb')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM glob('{folder}/lake/data/**')",
    "SELECT * FROM sqlite_scan('{folder}/other.sqlite', 't')",
    "SELECT * FROM sqlite_query('{folder}/other.sqlite', 'SELECT * FROM t')",
    "SELECT * FROM sqlite_scan('{folder}/lake/catalog.sqlite', 'ducklake_table')",
    "SELECT * FROM read_blob('{folder}/lake/catalog.sqlite')",
    "SELECT * FROM read_parquet('{folder}/lake/data/**/*.parquet')",
    "SELECT * FROM system.main.read_csv('{folder}/secret.csv')",
    "SELECT * FROM deliveries WHERE sender IN (SELECT a FROM read_csv('{folder}/secret.csv'))",
    "WITH x AS (SELECT * FROM read_text('{folder}/secret.txt')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('{folder}/secret.txt'))",
    "SELECT * FROM deliveries ORDER BY (SELECT content FROM read_text('{folder}/secret.txt'))",
    "SELECT * FROM deliveries LIMIT (SELECT length(content) FROM read_text('{folder}/secret.txt'))",
    "SELECT list_transform([1], lambda x: (SELECT content FROM read_text('{folder}/secret.txt')))",
    "SELECT 1 QUALIFY row_number() OVER (ORDER BY (SELECT content FROM read_text('{folder}/secret.txt'))) = 1",
    "SELECT * FROM deliveries AT (VERSION => (SELECT 1 FROM read_text('{folder}/secret.txt')))",
    "SELECT * FROM /* harmless */ read_text -- really\n ('{folder}/secret.txt')",
    "SELECT * FROM \"read_text\"('{folder}/secret.txt')",
    'WITH "{folder}/secret.csv" AS (SELECT * FROM "{folder}/secret.csv") SELECT * FROM "{folder}/secret.csv"',
    "SELECT * FROM (WITH \"{folder}/secret.csv\" AS (SELECT 1) SELECT 1), '{folder}/secret.csv'",
    "SELECT * FROM query('SELECT * FROM read_text(''{folder}/secret.txt'')')",
    "SELECT * FROM query_table('{folder}/secret.csv')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{folder}/secret.txt'')'))",
    "SELECT json_serialize_plan('SELECT * FROM read_csv(''{folder}/secret.csv'')')",
    "SELECT * FROM read_csv('http://192.0.2.1/secret.csv')",
    "SELECT * FROM 's3://bucket/secret.parquet'",
]

CHANGES = [
    "",
    "   ",
    "-- nothing but a comment",
    "INSERT INTO deliveries SELECT * FROM deliveries",
    "UPDATE deliveries SET sender = 'x'",
    "DELETE FROM deliveries",
    "MERGE INTO deliveries USING traces ON FALSE WHEN NOT MATCHED THEN INSERT VALUES (1)",
    "TRUNCATE deliveries",
    "CREATE TABLE x (a INTEGER)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE MACRO m(a) AS TABLE SELECT * FROM read_text(a)",
    "CREATE SECRET s (TYPE s3)",
    "DROP TABLE deliveries",
    "ALTER TABLE deliveries ADD COLUMN x INTEGER",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY deliveries TO '{folder}/out.parquet' (FORMAT parquet)",
    "COPY deliveries FROM '{folder}/secret.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.sqlite' AS other (TYPE sqlite)",
    "ATTACH ':memory:' AS other",
    "DETACH lake",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET VARIABLE x = 1",
    "RESET memory_limit",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL ducklake_add_data_files('lake', 'deliveries', '{folder}/secret.parquet')",
    "SELECT * FROM ducklake_add_data_files('lake', 'deliveries', '{folder}/secret.parquet')",
    "SELECT * FROM ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "SELECT * FROM ducklake_expire_snapshots('lake', older_than => now())",
    "SELECT * FROM ducklake_flush_inlined_data('lake')",
    "SELECT * FROM ducklake_merge_adjacent_files('lake')",
    "SELECT * FROM ducklake_set_option('lake', 'parquet_compression', 'snappy')",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM deliveries",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
    "PIVOT deliveries ON kind USING count(*)",
    ".shell echo {secret}",
    "SELECT write_log('x')",
    "SELECT nextval('x')",
    "SELECT system('echo {secret}')",
    "SELECT setseed(0.5)",
    "SELECT pg_sleep(60)",
]

LOOKS = [
    "SELECT getenv('HOME')",
    "SELECT current_setting('allowed_directories')",
    "SELECT main.current_setting('home_directory')",
    "SELECT system.main.current_setting('temp_directory')",
    "SELECT getvariable('x')",
    "SELECT version()",
    "SELECT current_query()",
    "SELECT pg_postmaster_start_time()",
    "SELECT inet_server_addr()",
    "SELECT __internal_decompress_string(1)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_databases",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM duckdb_external_file_cache()",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM pragma_storage_info('deliveries')",
    "SELECT * FROM pragma_user_agent()",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.schemata",
    "SELECT * FROM __ducklake_metadata_lake.ducklake_data_file",
    "SELECT * FROM __ducklake_metadata_lake.main.ducklake_metadata",
    "SELECT * FROM ducklake_list_files('lake', 'deliveries')",
    "SELECT * FROM ducklake_options('lake')",
    "SELECT * FROM ducklake_settings('lake')",
    "SELECT * FROM ducklake_snapshots('lake')",
    "SELECT * FROM ducklake_table_info('lake')",
    "SHOW DATABASES",
    "SHOW ALL TABLES",
    "SHOW SETTINGS",
    "WITH duckdb_settings AS (SELECT * FROM duckdb_settings) SELECT * FROM duckdb_settings",
    "SELECT * FROM (WITH duckdb_settings AS (SELECT 1) SELECT 1), duckdb_settings",
    "SELECT * FROM sandbox",
    "SELECT * FROM memory.main.deliveries",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM seq_scan()",
    "SELECT * FROM test_vector_types(1)",
]


@pytest.mark.parametrize("attack", FILES + CHANGES + LOOKS)
def test_what_does_not_only_read_the_lake_is_refused_with_one_sentence(
    attack: str, sandbox: Sandbox, settings: Path
) -> None:
    folder = settings.parent
    before = contents(folder)

    with pytest.raises(DetectionError) as refused:
        sandbox.run(attack.format(folder=folder.as_posix(), secret=SECRET))

    sentence = str(refused.value)
    assert sentence.startswith("the query was refused or failed: ")
    assert len(sentence.splitlines()) == 1
    assert SECRET not in sentence.replace(attack, "")
    assert contents(folder) == before


def contents(folder: Path) -> dict[Path, int]:
    """Return the files below `folder` with their sizes; SQLite's own side files come and go with each reader."""
    return {
        path: path.stat().st_size for path in folder.rglob("*") if path.is_file() and CATALOG + "-" not in path.name
    }


@pytest.mark.parametrize(
    "question",
    [
        f"SELECT count(*) FROM deliveries HAVING count(*) = {MANY}",
        "FROM lake.traces",
        "FROM lake.main.traces",
        "SELECT * FROM ecs.email LIMIT 1",
        "SELECT src_endpoint.ip FROM ocsf.email_activity LIMIT 1",
        "WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a) SELECT * FROM b, a",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
        "SELECT * FROM range(3) CROSS JOIN unnest([1, 2]) CROSS JOIN (VALUES (1)) AS v(x)",
        "SELECT kind, count(*) FROM deliveries GROUP BY ALL ORDER BY ALL LIMIT 5",
        "PIVOT deliveries ON kind IN ('try', 'held') USING count(*)",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        "DESCRIBE deliveries",
        "SUMMARIZE traces",
        "SHOW TABLES",
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_name = 'traces'",
        "SELECT CAST('1' AS DECIMAL(4, 2)), [1]::BIGINT[], now() - INTERVAL 3 DAY, current_date, 'a' COLLATE nocase",
        "SELECT * FROM deliveries TABLESAMPLE 10 ROWS",
        "SELECT CASE WHEN sender LIKE '%a%' THEN 1 END, list_filter([1, 2], lambda x: x > 1) FROM deliveries LIMIT 1",
        "SELECT 'read_csv(''/etc/passwd'')' AS attack -- COPY x TO 'y'; ATTACH",
        "SELECT * FROM json_each('[1, 2]')",
        "SELECT sender FROM traces UNION SELECT sender FROM deliveries EXCEPT SELECT NULL;",
    ],
)
def test_what_only_reads_the_lake_is_answered(question: str, sandbox: Sandbox) -> None:
    assert sandbox.run(question).rows.num_rows > 0


BESIDE_THE_GRAMMAR = [
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM read_text('{folder}/secret.txt')",
    "SELECT * FROM read_text('{folder}/authsunset.toml')",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET threads = 8",
    "SELECT * FROM settings",
    "CREATE TABLE lake.x (a INTEGER)",
]


@pytest.mark.parametrize("attack", BESIDE_THE_GRAMMAR)
def test_the_connection_itself_has_no_way_out_either(attack: str, sandbox: Sandbox, settings: Path) -> None:
    with pytest.raises(duckdb.Error):
        sandbox.connection.execute(attack.format(folder=settings.parent.as_posix()))


@pytest.mark.parametrize(
    "greedy",
    [
        "SELECT count(*) FROM range(1000000000000)",
        "SELECT count(*) FROM deliveries AS a, deliveries AS b, deliveries AS c, deliveries AS d",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    ],
)
def test_what_takes_too_long_is_interrupted(greedy: str, sandbox: Sandbox) -> None:
    hasty = replace(sandbox, limits=Limits(seconds=0.3))
    began = time.monotonic()

    with pytest.raises(DetectionError, match=r"more than 0\.3 s; ask for fewer rows"):
        hasty.run(greedy)

    assert time.monotonic() - began < 5
    assert hasty.run("SELECT 1 AS n").rows.num_rows == 1, "the next question is answered"


@pytest.mark.parametrize(
    "greedy",
    [
        "SELECT repeat('x', 10000000000)",
        "SELECT repeat('x', 4000000000)",
        "SELECT printf('%2000000000d', 1)",
        "SELECT md5(repeat('x', 2000000000))",
        "SELECT list_sum(range(1000000000))",
        "SELECT array_resize([1], 2000000000)",
        "SELECT count(*) FROM unnest(range(3000000000))",
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
        "SELECT * FROM range(100000000) ORDER BY hash(range)",
    ],
)
def test_what_takes_too_much_memory_is_refused(greedy: str, sandbox: Sandbox) -> None:
    with pytest.raises(DetectionError, match=r"256 MB of memory|maximum supported"):
        sandbox.run(greedy)


def test_more_rows_than_the_limit_are_cut_and_it_is_said(sandbox: Sandbox) -> None:
    small = replace(sandbox, limits=Limits(rows=10, result_bytes=1 << 20))

    endless = small.run("SELECT * FROM range(1000000000000)")
    wide = small.run("SELECT repeat('x', 1000000) FROM range(9)")
    all_of_it = small.run("SELECT * FROM range(10)")

    assert endless.rows.num_rows == 10
    assert endless.left_out == "only the first 10 rows are here; there are more, see --max-rows"
    assert "which are 1 MB" in str(wide.left_out)
    assert (all_of_it.rows.num_rows, all_of_it.left_out) == (10, None)


def test_a_query_that_hears_no_interrupt_is_given_up(sandbox: Sandbox) -> None:
    given_up: list[float] = []
    limits = Limits(seconds=0.05, grace_seconds=0.05)
    hasty = replace(sandbox, limits=limits, give_up=lambda: given_up.append(time.monotonic()))

    with pytest.raises(DetectionError, match=r"more than 0\.05 s"):
        hasty.run("SELECT levenshtein(repeat('x', 10000), repeat('y', 10000)) FROM range(1)")

    assert len(given_up) == 1


def test_every_function_of_this_duckdb_was_looked_at(sandbox: Sandbox) -> None:
    """A new DuckDB brings new functions: see which, deny those that do more than compute, then change the numbers."""
    names = {
        (kind, name)
        for kind, name in sandbox.connection.execute(
            "SELECT function_type, function_name FROM duckdb_functions() WHERE database_name <> 'lake'"
        ).fetchall()
    }
    scalars = {name for kind, name in names if kind in {"scalar", "macro"}}
    of_tables = {name for kind, name in names if kind in {"table", "table_macro"}}

    assert duckdb.__version__ == "1.5.5"
    assert (len(scalars), sum(map(is_denied, scalars))) == (731, 91)
    assert of_tables >= TABLE_FUNCTIONS


BY_COMMAND = [
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM sqlite_scan('{folder}/lake/catalog.sqlite', 'ducklake_table')",
    "SELECT repeat('x', 4000000000)",
    "SELECT count(*) FROM deliveries AS a, deliveries AS b, deliveries AS c, deliveries AS d, deliveries AS e",
    "SELECT levenshtein(repeat('x', 1000000), repeat('y', 1000000))",
    "COPY deliveries TO '{folder}/out.csv'",
]


@pytest.mark.parametrize("attack", BY_COMMAND)
def test_the_command_ends_with_one_sentence_and_exit_code_1(attack: str, settings: Path) -> None:
    folder = settings.parent

    ran = authsunset(
        *("-c", settings, "query", "--timeout", "0.5", "--sql", attack.format(folder=folder.as_posix())),
        cwd=folder,
        timeout=30,
    )

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("authsunset: the query was refused or failed: ")
    assert len(ran.err.splitlines()) == 1
    assert SECRET not in ran.err
    assert not (folder / "out.csv").exists()
