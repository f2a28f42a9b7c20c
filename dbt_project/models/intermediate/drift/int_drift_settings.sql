{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{
            'columns': ['monitor', 'column_name', 'method', 'compared_to'],
            'unique': true,
        }]
    )
}}

-- Nothing else orders it after what arrives, and what orchestrates dbt could run it by
-- itself before, apart from the models of the run that it belongs to:
-- depends_on: {{ ref('int_monitors') }}

with

methods as (
{% for monitor in monitors() %}
    {%- for column in monitor.columns + [monitor.actual] %}
    {%- set chosen = monitor.drift.columns[column.name] %}
    {%- for method in chosen.methods %}
    {%- set thresholds = chosen.thresholds[method] %}
    select
        '{{ monitor.name }}' as monitor,
        '{{ column.name }}' as column_name,
        '{{ column.role }}' as role,
        '{{ column.kind }}' as kind,
        '{{ method }}' as method,
        {{ loop.first }} as is_first_method,
        {{ thresholds[0] }}::double precision as threshold,
        {{ thresholds[1] }}::double precision as critical_threshold

    union all
    {% endfor %}
    {%- endfor %}
{%- endfor %}
    select
        null as monitor,
        null as column_name,
        null as role,
        null as kind,
        null as method,
        null as is_first_method,
        null as threshold,
        null as critical_threshold
    where false

),

comparisons as (

    select
        monitor,
        compared_to,
        is_first_comparison,
        alpha

    from (
        values
        {%- for monitor in monitors() %}
        {%- set outer_loop = loop %}
        {%- set compared_to = monitor.drift.compared_to %}
        {%- set first =
            'baseline' if 'baseline' in compared_to else compared_to[0] %}
        {%- for reference in compared_to %}
        (
            '{{ monitor.name }}',
            '{{ reference }}',
            {{ reference == first }},
            {{ monitor.drift.alpha }}::double precision
        ){{ ',' if not (outer_loop.last and loop.last) }}
        {%- endfor %}
        {%- endfor %}
    ) as comparisons (monitor, compared_to, is_first_comparison, alpha)

),

settings as (

    select
        methods.monitor,
        methods.column_name,
        methods.role,
        methods.kind,
        methods.method,
        comparisons.compared_to,
        methods.threshold,
        methods.critical_threshold,
        comparisons.alpha,
        methods.is_first_method,
        methods.is_first_method and comparisons.is_first_comparison as is_headline

    from methods

    inner join comparisons
        on methods.monitor = comparisons.monitor

)

select * from settings
