{#-
    Count, mean, M2 (the sum of squared deviations from the mean), minimum and maximum
    of the usable numbers in each numerical column, for all rows and in each of the
    monitor's column segments: one wide aggregate, then one row per column. Postgres
    computes variance by Youngs and Cramer's update, which is stable far from zero.
    Writes the CTEs {monitor}_rows, _wide and _moments.
-#}
{% macro column_moments(monitor, family, columns) -%}
{%- set numerical = columns | selectattr('kind', 'equalto', 'numerical') | list -%}
{%- set segments = monitor.column_segments -%}
{%- set selected = segment_values(segments) -%}
{%- for column in numerical -%}
    {%- do selected.append({
        'name': 'column_' ~ loop.index,
        'expression': usable_number(adapter.quote(column.name)) | indent(8),
    }) -%}
{%- endfor -%}
{{ monitor.name }}_rows as (

    {{ monitored_rows(monitor, family, selected, include_baseline=true) }}

),

{{ monitor.name }}_wide as (

    select
        grain,
        window_start,
        model_version,
        {{ segment_keys(segments) | indent(8) }}
        {%- for column in numerical %},
        -- {{ column.name }}
        {%- set name = 'column_' ~ loop.index %}
        count({{ name }}) as {{ name }}_count,
        avg({{ name }}) as {{ name }}_mean,
        var_pop({{ name }}) * count({{ name }}) as {{ name }}_m2,
        min({{ name }}) as {{ name }}_minimum,
        max({{ name }}) as {{ name }}_maximum
        {%- endfor %}

    from {{ monitor.name }}_rows

    {{ segment_grouping_sets(segments, ['grain', 'window_start', 'model_version']) }}

),

{{ monitor.name }}_moments as (

    select
        '{{ monitor.name }}' as monitor,
        wide.grain,
        wide.window_start,
        wide.model_version,
        wide.segment,
        wide.segment_value,
        moments.column_name,
        moments.role,
        moments.value_count,
        moments.mean,
        moments.m2,
        moments.minimum,
        moments.maximum

    from {{ monitor.name }}_wide as wide

    cross join lateral (
        values
        {%- for column in numerical %}
        {%- set name = 'wide.column_' ~ loop.index %}
        (
            '{{ column.name }}',
            '{{ column.role }}',
            {{ name }}_count,
            {{ name }}_mean,
            {{ name }}_m2,
            {{ name }}_minimum,
            {{ name }}_maximum
        ){{ ',' if not loop.last }}
        {%- endfor %}
        {%- if not numerical %}
        (
            null::text,
            null::text,
            0::bigint,
            null::double precision,
            null::double precision,
            null::double precision,
            null::double precision
        )
        {%- endif %}
    ) as moments (column_name, role, value_count, mean, m2, minimum, maximum)

    where moments.value_count > 0

),
{%- endmacro %}
