{#-
    Counts per bin for a list of a monitor's columns, for all rows and in each of its
    column segments: every column is put into bins once, then `grouping sets` counts
    them all in one pass over the rows. Writes the CTEs {monitor}_rows, _edges, _binned
    and _bins.
-#}
{% macro column_bins(monitor, family, columns) -%}
{%- set segments = monitor.column_segments -%}
{%- set selected = segment_values(segments) -%}
{%- for column in columns -%}
    {%- do selected.append({
        'name': 'column_' ~ loop.index,
        'expression': adapter.quote(column.name)
            ~ ('::double precision' if column.kind == 'numerical' else '::text'),
    }) -%}
{%- endfor -%}
{{ monitor.name }}_rows as (

    {{ monitored_rows(monitor, family, selected, include_baseline=true) }}

),

{{ monitor.name }}_edges as (

    select
        {%- for column in columns if column.kind == 'numerical' %}
        {%- set name = 'column_' ~ (columns.index(column) + 1) %}
        max(edges) filter (
            where column_name = '{{ column.name }}'
        ) as {{ name }}_edges,
        max(maximum) filter (
            where column_name = '{{ column.name }}'
        ) as {{ name }}_maximum,
        {%- endfor %}
        count(*) as column_count

    from {{ ref('int_baselines') }}

    where monitor = '{{ monitor.name }}'

),

{{ monitor.name }}_binned as (

    select
        monitored.grain,
        monitored.window_start,
        monitored.model_version
        {%- for segment in segments %},
        monitored.segment_{{ loop.index }}
        {%- endfor %}
        {%- for column in columns %},
        -- {{ column.name }}
        {%- set name = 'column_' ~ loop.index %}
        {%- if column.kind == 'numerical' %}
        {{ numeric_bin(
            'monitored.' ~ name,
            'edges.' ~ name ~ '_edges',
            'edges.' ~ name ~ '_maximum'
        ) | indent(8) }} as {{ name }}
        {%- else %}
        case
            when monitored.{{ name }} is null then {{ null_bin() }}
            else coalesce({{ name }}_categories.bin, {{ unseen_bin() }})
        end as {{ name }}
        {%- endif %}
        {%- endfor %}

    from {{ monitor.name }}_rows as monitored

    cross join {{ monitor.name }}_edges as edges

    {%- for column in columns if column.kind == 'categorical' %}
    {%- set name = 'column_' ~ (columns.index(column) + 1) %}

    left join {{ ref('int_baseline_categories') }} as {{ name }}_categories
        on
            {{ name }}_categories.monitor = '{{ monitor.name }}'
            and {{ name }}_categories.column_name = '{{ column.name }}'
            and {{ name }}_categories.category = monitored.{{ name }}
    {%- endfor %}

),

{{ monitor.name }}_bins as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(segments) | indent(8) }},
        case
            {%- for column in columns %}
            when grouping(column_{{ loop.index }}) = 0 then '{{ column.name }}'
            {%- endfor %}
        end as column_name,
        case
            {%- for column in columns %}
            when grouping(column_{{ loop.index }}) = 0 then '{{ column.role }}'
            {%- endfor %}
        end as role,
        coalesce(
            {%- for column in columns %}
            column_{{ loop.index }}{{ ',' if not loop.last or loop.first }}
            {%- endfor %}
            {%- if columns | length == 1 %}
            null
            {%- endif %}
        ) as bin,
        count(*) as bin_count

    from {{ monitor.name }}_binned

    group by grouping sets (
        {%- for column in columns %}
        {%- set name = 'column_' ~ loop.index %}
        (grain, window_start, model_version, {{ name }})
        {%- for segment in segments %},
        (grain, window_start, model_version, segment_{{ loop.index }}, {{ name }})
        {%- endfor %}
        {{- ',' if not loop.last }}
        {%- endfor %}
    )

),
{%- endmacro %}
