"""
Hold a query from outside against what it may use: tables and views of the lake, and functions that only compute.

DuckDB's own switches leave gaps: with files and network off, `sqlite_scan` still opens any SQLite file of the machine,
the catalogue of the lake is a table like any other, and settings and paths can be read. So DuckDB's parser is asked for
the tree of the query, and each node of it must be of a kind that is known here; what is not known is refused. The text
is never searched for words, so neither comments nor quotes nor capitals hide anything.

Tables and table functions are listed by what may be used. Of the other functions there are some seven hundred, which
compute from their arguments and nothing else; those few that do more are listed instead.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import duckdb

from pipeline.errors import DetectionError

REFUSED = "the query was refused or failed"

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
_DENIED = frozenset(
    {
        # They tell of the machine, the process and its settings …
        *("getenv", "current_setting", "getvariable", "version", "get_block_size", "which_secret", "stats"),
        *("current_query", "current_query_id", "current_transaction_id", "current_connection_id", "txid_current"),
        *("current_user", "current_role", "current_database", "current_catalog", "current_schema", "current_schemas"),
        *("session_user", "user", "in_search_path", "vector_type", "col_description", "obj_description"),
        *("shobj_description", "parse_duckdb_log_message"),
        # … they read, write or wait …
        *("write_log", "nextval", "currval", "setseed", "sleep_ms"),
        # … they plan or run SQL that stands in a text, which nobody has held against this list …
        *("json_serialize_plan", "json_serialize_sql", "json_deserialize_sql"),
        # … or they take the state of an aggregate from whoever made it up.
        *("finalize", "combine"),
    }
)
_DENIED_STARTS = ("__internal", "pg_", "has_", "inet_", "duckdb_", "ducklake_", "pragma_", "sqlite_", "read_", "system")
_INFORMATION = frozenset({("information_schema", "tables"), ("information_schema", "columns")})

_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_REFERENCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EMPTY", "EXPRESSION_LIST", "PIVOT", "SHOW_REF"}
)
_MODIFIERS = frozenset(
    {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"}
    | {"ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
)
_EXPRESSIONS = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT"}
    | {"FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY"}
    | {"TYPE", "WINDOW"}
)

Tables = Collection[tuple[str, str]]
"""What may be read, as (schema, name) in lower case."""


def the_select(connection: duckdb.DuckDBPyConnection, sql: str, tables: Tables) -> duckdb.Statement:
    """Return `sql` ready to run; raise DetectionError unless it is one SELECT that reads `tables` and nothing else."""
    statements = connection.extract_statements(sql)
    # EXPLAIN is out too: EXPLAIN ANALYZE runs what it explains.
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise DetectionError(f"{REFUSED}: give one SELECT, which only reads")
    [(text,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    if reason := _objection(text, tables):
        raise DetectionError(f"{REFUSED}: {reason}")
    return statements[0]


def _objection(tree: str, tables: Tables) -> str | None:
    """Return why the query with this `tree` is refused, as a sentence, or None."""
    try:
        parsed = json.loads(tree)
    except RecursionError:
        return "it is nested deeper than any question; write it flatter"
    if parsed.get("error") or len(parsed["statements"]) != 1:
        return "give one SELECT, which only reads"
    for node, names in _walk(parsed["statements"][0], frozenset()):
        if reason := _against(node, names, tables):
            return reason
    return None


def _walk(root: Any, names: frozenset[str]) -> Iterator[tuple[Mapping[str, Any], frozenset[str]]]:
    """Yield each node below `root` with the names that WITH gives to queries where it stands."""
    waiting = [(root, names)]
    while waiting:
        node, known = waiting.pop()
        if isinstance(node, list):
            waiting += [(each, known) for each in node]
        elif isinstance(node, dict):
            yield node, known
            if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
                known |= {str(node.get("cte_name")).lower()}
            # A query of WITH sees those before it, never itself: its own name would be a table, or a file.
            for entry in (node.get("cte_map") or {}).get("map", ()):
                waiting.append((entry["value"], known))
                known |= {str(entry["key"]).lower()}
            waiting += [(each, known) for key, each in node.items() if key != "cte_map"]


def _against(node: Mapping[str, Any], names: frozenset[str], tables: Tables) -> str | None:
    """Return why `node` is refused, or None; its children are looked at by themselves."""
    kind, class_ = node.get("type"), node.get("class")
    if class_ is not None:
        if class_ not in _EXPRESSIONS:
            return f"{str(class_).lower()} is no expression that is known here"
        return _against_function(node) if class_ in {"FUNCTION", "WINDOW"} else None
    if not isinstance(kind, str) or kind.endswith("_TYPE_INFO"):
        return None
    match kind:
        case "BASE_TABLE":
            return _against_table(node, names, tables)
        case "TABLE_FUNCTION":
            return _against_table_function(node["function"])
        case "SHOW_REF":
            return _against_show(node)
    return None if kind in _NODES | _REFERENCES | _MODIFIERS else f"{kind.lower()} is nothing that is known here"


def _against_table(node: Mapping[str, Any], names: frozenset[str], tables: Tables) -> str | None:
    catalog, schema, name = (str(node[key]).lower() for key in ("catalog_name", "schema_name", "table_name"))
    if not catalog and not schema and name in names:
        return None
    if not catalog and (schema, name) in _INFORMATION:
        return None
    if not catalog and schema == "lake":  # lake.deliveries
        schema = "main"
    if catalog in {"", "lake"} and (schema or "main", name) in tables:
        return None
    said = ".".join(str(node[key]) for key in ("catalog_name", "schema_name", "table_name") if node[key])
    near = get_close_matches(said.lower(), {_said(*each) for each in tables}, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; SHOW TABLES lists those of the lake, beside ecs.* and ocsf.*"
    return f"{said!r} is no table or view of the lake" + hint


def _against_table_function(function: Mapping[str, Any]) -> str | None:
    name = str(function.get("function_name", "")).lower()
    if name in TABLE_FUNCTIONS and not function.get("catalog"):
        return None
    return f"{name}() may not stand for a table; only {', '.join(sorted(TABLE_FUNCTIONS))} may, and the lake's own"


def _against_function(function: Mapping[str, Any]) -> str | None:
    name = str(function.get("function_name", "")).lower()
    is_plain = not function.get("catalog") and str(function.get("schema", "")).lower() in {"", "main"}
    if is_plain and not is_denied(name):
        return None
    return f"{name}() does more than compute from its arguments, so it is out"


def _against_show(node: Mapping[str, Any]) -> str | None:
    is_named = node["show_type"] == "SHOW_UNQUALIFIED" and str(node["table_name"]).strip('"').lower() == "tables"
    if is_named or node["show_type"] in {"DESCRIBE", "SUMMARY"}:
        return None
    return "of SHOW, only SHOW TABLES is here; DESCRIBE name tells the columns of one"


def is_denied(function: str) -> bool:
    """Return whether a query from outside may not call the scalar or aggregate `function`."""
    return function in _DENIED or function.startswith(_DENIED_STARTS)


def _said(schema: str, name: str) -> str:
    return name if schema == "main" else f"{schema}.{name}"
