{#-
    What a data test looks at; dbt calls this for each. In a build, the rows of the
    windows that this run refreshed: the others were tested when they were, and a build
    after a year of history should cost what it costs after a week. `dbt test` by
    itself looks at everything.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set conditions = [] -%}
    {%- if config.get('where') -%}
        {%- do conditions.append(config.get('where')) -%}
    {%- endif -%}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- set columns = described_columns(relation) -%}
        {%- if 'invocation_id' in columns -%}
            {%- do conditions.append("invocation_id = '" ~ invocation_id ~ "'") -%}
        {%- elif 'monitor' in columns and 'grain' in columns
            and 'window_start' in columns -%}
            {%- set refreshed -%}
(monitor, grain, window_start) in (
        select monitor, grain, window_start
        from {{ intermediate_relation('int_refresh_windows') }}
        where invocation_id = '{{ invocation_id }}'
    )
            {%- endset -%}
            {%- do conditions.append(refreshed) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if conditions -%}
(
    select *
    from {{ relation }}
    where {{ conditions | join('\n    and ') }}
) as tested_rows
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{#- The columns that the project's files describe of a model. -#}
{% macro described_columns(relation) %}
    {% for node in graph.nodes.values()
        if node.resource_type == 'model' and node.alias == relation.identifier
            and node.schema == relation.schema %}
        {{ return(node.columns | list) }}
    {% endfor %}
    {{ return([]) }}
{% endmacro %}
