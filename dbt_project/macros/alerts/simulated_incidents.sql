{#-
    A from-clause item with what the simulator injected; nothing in a warehouse that has
    no such table.
-#}
{% macro simulated_incidents() -%}
    {%- set relation = source('raw', 'simulated_incidents') -%}
    {%- set is_there = not execute or model.resource_type == 'unit_test'
        or adapter.get_relation(
            database=relation.database,
            schema=relation.schema,
            identifier=relation.identifier
        ) -%}
    {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='name')
        if execute and is_there and model.resource_type != 'unit_test' else ['level'] -%}
    {%- if is_there and 'level' in columns | list -%}
        {{ relation }}
    {%- elif is_there -%}
(
    -- Made before there were levels; the next replay adds the column.
    select
        *,
        null::text as level
    from {{ relation }}
) as simulated_incidents
    {%- else -%}
(
    select
        null::text as incident_id,
        null::text as scenario,
        null::text as kind,
        null::text as model_name,
        null::text as model_version,
        null::text as column_name,
        null::timestamptz as started_at,
        null::timestamptz as ended_at,
        null::text as family,
        null::text as size,
        null::text as level,
        null::text as description
    where false
) as simulated_incidents
    {%- endif -%}
{%- endmacro %}
