{#-
    Incremental tables on Postgres, of the strategies that replace rows. dbt's own way
    reads the columns of both tables four times, and writes a table of the new rows even
    if there are none: in a build with nothing new that took most of the time. Here
    columns are compared once, and a table none of whose windows is stale is left alone,
    hooks included. Tables of all other strategies are built in dbt's own way.

    `on_schema_change` is always `fail` here: a table of other columns has to be built
    anew. A contract is held against the query when the table is made, then the query's
    columns against the table's.
-#}
{% materialization incremental, adapter='postgres' %}
    {%- set strategy = config.get('incremental_strategy') -%}
    {%- if strategy == 'replace_windows' and not config.get('meta', {}).get('family') -%}
        {% do exceptions.raise_compiler_error(
            this.identifier ~ " replaces windows, but does not say of which family:"
            ~ " add meta={'family': …} to its config, one of those in stale_scope.sql."
        ) %}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or not existing.is_table or should_full_refresh()
        or strategy not in [
            'replace_windows', 'replace_rows', 'replace_monitors', 'replace_evaluations'
        ] -%}
        {{ return(materialization_incremental_default()) }}
    {%- endif -%}

    {#- Of a full refresh that was killed. -#}
    {{ drop_relation_if_exists(
        load_cached_relation(make_backup_relation(existing, 'table'))
    ) }}

    {%- if strategy == 'replace_windows' and not has_stale_windows() -%}
        {%- if model.columns -%}
            {% do check_columns(existing, documented_columns()) %}
        {%- endif -%}
        {% call statement('main') -%}
            select 'no stale window'
        {%- endcall %}
        {% do apply_grants(existing, config.get('grants'), should_revoke=true) %}
        {% do persist_docs(existing, model) %}
        {% do adapter.commit() %}
        {{ return({'relations': [existing]}) }}
    {%- endif -%}

    {{ run_hooks(pre_hooks, inside_transaction=false) }}
    {{ run_hooks(pre_hooks, inside_transaction=true) }}

    {%- set arriving = make_temp_relation(existing) -%}
    {% call statement('arriving') -%}
        create temporary table {{ arriving }} on commit drop as (
            {{ sql }}
        );
    {%- endcall %}
    {%- set columns = columns_of_table(arriving) -%}
    {% do check_columns(existing, columns) %}

    {% call statement('main') -%}
        {{ adapter.get_incremental_strategy_macro(context, strategy)({
            'target_relation': existing,
            'temp_relation': arriving,
            'dest_columns': columns,
        }) }}
    {%- endcall %}

    {% do apply_grants(existing, config.get('grants'), should_revoke=true) %}
    {% do persist_docs(existing, model) %}
    {{ run_hooks(post_hooks, inside_transaction=true) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=false) }}
    {{ return({'relations': [existing]}) }}
{% endmaterialization %}


{#- Whether this run refreshes any window of the model's family. -#}
{% macro has_stale_windows() %}
    {%- set found -%}
        select 1
        from {{ ref('int_refresh_windows') }}
        where
            invocation_id = '{{ invocation_id }}'
            and family = '{{ config.get('meta').family }}'
        limit 1
    {%- endset -%}
    {{ return(asked_once(found) | length > 0) }}
{% endmacro %}


{#- The columns of a table as {name, quoted, data_type}, in their order. -#}
{% macro columns_of_table(relation) %}
    {%- set query -%}
        select
            attname as name,
            format_type(atttypid, null) as data_type
        from pg_attribute
        where
            attrelid = '{{ relation }}'::regclass
            and attnum > 0
            and not attisdropped
        order by attnum
    {%- endset -%}
    {%- set columns = [] -%}
    {%- for row in run_query(query) -%}
        {%- do columns.append({
            'name': row['name'],
            'quoted': adapter.quote(row['name']),
            'data_type': row['data_type'],
        }) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}


{#- The columns that the model's documentation names, for `check_columns`. -#}
{% macro documented_columns() %}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append({'name': column.name, 'data_type': none}) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}


{#-
    Stop if a table has not the columns that the model gives by now: {name, data_type},
    of any type where that is none.
-#}
{% macro check_columns(table, wanted) %}
    {%- set types = {} -%}
    {%- for column in columns_of_table(table) -%}
        {%- do types.update({column.name: column.data_type}) -%}
    {%- endfor -%}
    {%- set differences = [] -%}
    {%- for column in wanted -%}
        {%- set type = types.pop(column.name, none) -%}
        {%- if type is none -%}
            {%- do differences.append('lacks column ' ~ column.name) -%}
        {%- elif column.data_type not in [none, type] -%}
            {%- do differences.append(
                'has column ' ~ column.name ~ ' as ' ~ type
                ~ ', not ' ~ column.data_type
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in types -%}
        {%- do differences.append('has the unknown column ' ~ name) -%}
    {%- endfor -%}
    {%- if differences -%}
        {% do exceptions.raise_compiler_error(
            table ~ " was built by another version of this project: it "
            ~ differences | join(', ') ~ ". Build everything anew, from the log:"
            ~ " dbt build --full-refresh"
        ) %}
    {%- endif -%}
{% endmacro %}
