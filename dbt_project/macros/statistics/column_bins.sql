{#-
    Counts per bin for a list of a monitor's columns, for all rows and in each of its
    column segments: every column is put into bins once, then `grouping sets` counts
    them all in one pass over the rows. Writes the CTEs {monitor}_binned, _windows,
    _keyed, _counts and _bins, and of rows that the run has not copied _rows and _edges.
-#}
{% macro column_bins(monitor, family, columns) -%}
{%- set segments = monitor.column_segments -%}
{%- set scope = stale_scope(monitor, family) -%}
{%- set copy = row_copy_for(monitor, family, scope) -%}
{%- if copy -%}
{%- set all_columns = monitor.columns + [monitor.actual] -%}
{%- set selected = segment_values(segments) -%}
{%- for column in columns -%}
    {%- do selected.append({
        'name': 'column_' ~ loop.index,
        'expression': '"bin ' ~ (all_columns.index(column) + 1) ~ '"',
    }) -%}
{%- endfor -%}
{{ monitor.name }}_binned as not materialized (

    {{ rows_of_copy(monitor, family, scope, selected, true, copy, copy.bins) }}

),
{%- else -%}
{%- set numeric = numeric_columns(monitor) -%}
{%- set selected = segment_values(segments) -%}
{%- for column in columns -%}
    {%- do selected.append({
        'name': 'column_' ~ loop.index,
        'expression':
            column_as_double(column, numeric) | indent(8) if column.kind == 'numerical'
            else adapter.quote(column.name) if column.kind == 'embedding'
            else adapter.quote(column.name) ~ '::text',
    }) -%}
{%- endfor -%}
{{ monitor.name }}_found as (

    {{ monitored_rows(monitor, family, selected, include_baseline=true) }}

),

{{ monitor.name }}_rows as (

    select *

    from {{ monitor.name }}_found

    {{ evaluated_once() }}

),

{{ monitor.name }}_edges as (

    {{ edges_of_columns(monitor, columns) | indent(4) }}

),

{{ monitor.name }}_binned as materialized (

    select
        monitored.grain,
        monitored.window_start,
        monitored.model_version
        {%- for segment in segments %},
        monitored.segment_{{ loop.index }}
        {%- endfor %}
        {%- for column in columns %},
        -- {{ column.name }}
        {{ column_bin(column, 'monitored.column_' ~ loop.index, loop.index) | indent(8) }}
            as column_{{ loop.index }}
        {%- endfor %}

    from {{ monitor.name }}_rows as monitored

    cross join {{ monitor.name }}_edges as edges

    {{ categories_of_columns(monitor, columns, 'monitored') | indent(4) }}

),
{%- endif %}
{%- set keys = ['grain', 'window_start', 'model_version'] %}
{%- set levels = [{'name': 'all', 'columns': []}] %}
{%- for segment in segments -%}
    {%- do levels.append({
        'name': segment.name, 'columns': ['segment_' ~ loop.index],
    }) -%}
{%- endfor %}
{%- for level in levels %}

-- Numbers for the windows, since grouping by one integer is three times as fast.
{{ monitor.name }}_windows_{{ loop.index }} as materialized (

    select
        {{ (keys + level.columns) | join(',\n        ') }},
        row_number() over () as window_number

    from (
        select distinct {{ (keys + level.columns) | join(', ') }}
        from {{ monitor.name }}_binned
    ) as windows

),
{%- endfor %}

{{ monitor.name }}_keyed as (

    select
        {%- for level in levels %}
        windows_{{ loop.index }}.window_number::integer as window_{{ loop.index }},
        {%- endfor %}
        {%- for column in columns %}
        binned.column_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}

    from {{ monitor.name }}_binned as binned

    {%- for level in levels %}
    {%- set windows = 'windows_' ~ loop.index %}

    inner join {{ monitor.name }}_{{ windows }} as {{ windows }}
        on
            {%- for key in keys + level.columns %}
            {{ 'and ' if not loop.first }}binned.{{ key }} = {{ windows }}.{{ key }}
            {%- endfor %}
    {%- endfor %}

),

{{ monitor.name }}_counts as (

    select
        {%- for level in levels %}
        window_{{ loop.index }},
        {%- endfor %}
        case
            {%- for column in columns %}
            when grouping(column_{{ loop.index }}) = 0 then {{ loop.index }}
            {%- endfor %}
        end as column_number,
        case
            {%- for column in columns %}
            when grouping(column_{{ loop.index }}) = 0 then column_{{ loop.index }}
            {%- endfor %}
        end as bin,
        count(*) as bin_count

    from {{ monitor.name }}_keyed

    group by grouping sets (
        {%- for column in columns %}
        {%- set outer_loop = loop %}
        {%- for level in levels %}
        (window_{{ loop.index }}, column_{{ outer_loop.index }})
        {{- ',' if not (loop.last and outer_loop.last) }}
        {%- endfor %}
        {%- endfor %}
    )

),

{{ monitor.name }}_bins as (
    {%- for level in levels %}
    {%- if not loop.first %}

    union all
    {%- endif %}

    select
        '{{ monitor.name }}' as monitor,
        windows.grain,
        windows.window_start,
        windows.model_version,
        '{{ level.name }}' as segment,
        {{ 'windows.' ~ level.columns[0] if level.columns else "'all'" }} as segment_value,
        columns.column_name,
        columns.role,
        counts.bin::integer as bin,
        counts.bin_count

    from {{ monitor.name }}_counts as counts

    inner join {{ monitor.name }}_windows_{{ loop.index }} as windows
        on counts.window_{{ loop.index }} = windows.window_number

    inner join (
        values
        {%- for column in columns %}
        ({{ loop.index }}, '{{ column.name }}', '{{ column.role }}')
        {{- ',' if not loop.last }}
        {%- endfor %}
    ) as columns (column_number, column_name, role)
        on counts.column_number = columns.column_number
    {%- endfor %}

),
{%- endmacro %}


{#- A query for one row with the edges of a list of a monitor's columns. -#}
{% macro edges_of_columns(monitor, columns) -%}
select
    {%- for column in columns if column.kind == 'numerical' %}
    {%- set number = columns.index(column) + 1 %}
    max(edges) filter (
        where column_name = '{{ column.name }}'
    ) as edges_{{ number }},
    max(maximum) filter (
        where column_name = '{{ column.name }}'
    ) as maximum_{{ number }},
    {%- endfor %}
    count(*) as column_count
from {{ ref('int_baselines') }}
where monitor = '{{ monitor.name }}'
{%- endmacro %}


{#-
    The bin of a column's value, by its number among those of `edges_of_columns` and
    `categories_of_columns`. Texts and vectors have no bins but for nulls and the rest.
-#}
{% macro column_bin(column, value, number) -%}
    {%- if column.kind == 'numerical' -%}
({{ numeric_bin(value, 'edges.edges_' ~ number, 'edges.maximum_' ~ number) }})::smallint
    {%- elif column.kind == 'text' -%}
(case
    when {{ value }} is null then {{ null_bin() }} else {{ other_bin() }}
end)::smallint
    {%- elif column.kind == 'embedding' -%}
(case
    when {{ value }} is null then {{ null_bin() }}
    when {{ is_vector(value) | indent(4) }} then {{ other_bin() }}
    else {{ invalid_bin() }}
end)::smallint
    {%- else -%}
(case
    when {{ value }} is null then {{ null_bin() }}
    else coalesce(categories_{{ number }}.bin, {{ unseen_bin() }})
end)::smallint
    {%- endif -%}
{%- endmacro %}


{#- Joins of the baseline's categories to the categorical columns of some rows. -#}
{% macro categories_of_columns(monitor, columns, rows, names=none) -%}
    {%- for column in columns if column.kind == 'categorical' -%}
    {%- set number = columns.index(column) + 1 -%}
    {%- set categories = 'categories_' ~ number -%}
left join {{ ref('int_baseline_categories') }} as {{ categories }}
    on
        {{ categories }}.monitor = '{{ monitor.name }}'
        and {{ categories }}.column_name = '{{ column.name }}'
        and {{ categories }}.category = {{ rows }}.
            {{- adapter.quote(column.name) if names == 'own' else 'column_' ~ number }}
{% endfor -%}
{%- endmacro %}
