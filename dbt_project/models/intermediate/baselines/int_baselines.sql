{{
    config(
        incremental_strategy='replace_monitors',
        indexes=[{'columns': ['monitor', 'column_name'], 'unique': true}]
    )
}}

with

{% set shares -%}
array(
                select step / 50.0 + 1e-9 from generate_series(1, 49) as steps (step)
            )::double precision[]
{%- endset -%}
{%- for monitor in monitors() -%}
{%- set columns = monitor.columns + [monitor.actual] -%}
{%- set numerical = columns | selectattr('kind', 'equalto', 'numerical') | list -%}
{%- set numeric = numeric_columns(monitor) -%}
{%- set read_edges -%}
with

-- The numbers of the version that came first: its bins serve all versions, so that
-- their counts can be added and the figures of different days compared.
{{ monitor.name }}_rows as (

    select
        {%- for column in numerical %}
        {{ column_as_double(column, numeric) | indent(8) }} as column_{{ loop.index }},
        {%- endfor %}
        true as is_reference

    from {{ baseline_rows(monitor) | indent(4) }}

    where
        {{ baseline_version_key(monitor) | indent(8) }} = (
            select monitors.reference_version
            from {{ ref('int_monitors') }} as monitors
            where monitors.monitor = '{{ monitor.name }}'
        )
        and {{ rebuilds_baseline(monitor) | indent(8) }}

    {{ evaluated_once() }}

),

{{ monitor.name }}_numbers as materialized (

    select
        {%- for column in numerical %}
        {%- set name = 'column_' ~ loop.index %}
        case when {{ is_number(name) }} then {{ name }} end as {{ name }},
        {%- endfor %}
        is_reference

    from {{ monitor.name }}_rows

),

{% for chunk in chunks_of(numerical) -%}
{%- set first = 100 * loop.index0 -%}
-- Few values: each starts a bin of its own. Many: fifty bins of equal shares, each of
-- which starts with the smallest number above the last one's share. Sorted downwards,
-- since `width_bucket` tells how many of the ascending numbers are up to a number.
{{ monitor.name }}_shares_{{ loop.index }} as (

    select
        {%- for column in chunk %}
        {%- set number = first + loop.index %}
        count(distinct column_{{ number }}) as distinct_{{ number }},
        percentile_disc({{ shares }}) within group (
            order by -column_{{ number }}
        ) as ends_{{ number }}{{ ',' if not loop.last }}
        {%- endfor %}

    from {{ monitor.name }}_numbers

),

{{ monitor.name }}_groups_{{ loop.index }} as (

    select
        numbers.column_number,
        min(numbers.value) as edge,
        max(numbers.value) as maximum

    from {{ monitor.name }}_numbers as wide

    cross join {{ monitor.name }}_shares_{{ loop.index }} as shares

    cross join lateral (
        values
        {%- for column in chunk %}
        {%- set number = first + loop.index %}
        (
            {{ number }},
            wide.column_{{ number }},
            shares.distinct_{{ number }},
            shares.ends_{{ number }}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as numbers (column_number, value, distinct_count, ends)

    where numbers.value is not null

    group by
        numbers.column_number,
        case when numbers.distinct_count <= 50 then numbers.value end,
        case
            when numbers.distinct_count > 50
                then width_bucket(-numbers.value, numbers.ends)
        end

),

{% endfor -%}

edges as (

    select
        columns.column_name,
        array_agg(quantile_groups.edge order by quantile_groups.edge) as edges,
        array_agg(quantile_groups.maximum order by quantile_groups.edge) as bin_maxima,
        max(quantile_groups.maximum) as maximum

    from (
        {%- for chunk in chunks_of(numerical) %}
        select * from {{ monitor.name }}_groups_{{ loop.index }}
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
        {%- if not numerical %}
        select
            null::integer as column_number,
            null::double precision as edge,
            null::double precision as maximum
        where false
        {%- endif %}
    ) as quantile_groups

    inner join (
        values
        {%- for column in numerical %}
        ({{ loop.index }}, '{{ column.name }}'){{ ',' if not loop.last }}
        {%- endfor %}
        {%- if not numerical %}
        (null::integer, null::text)
        {%- endif %}
    ) as columns (column_number, column_name)
        on quantile_groups.column_number = columns.column_number

    group by columns.column_name

)

select * from edges
{%- endset -%}
{{ monitor.name }}_read as (

    select *
    from {{ guarded_rows(monitor, 'read_edges', {
        'column_name': 'text',
        'edges': 'double precision[]',
        'bin_maxima': 'double precision[]',
        'maximum': 'double precision',
    }, read_edges, monitor.baseline.relation) | indent(4) }}

),

-- A row of nulls says that the baseline could not be read.
{{ monitor.name }}_edges as (

    select
        '{{ monitor.name }}' as monitor,
        column_name,
        edges,
        bin_maxima,
        maximum,
        (
            select monitors.definition_hash
            from {{ ref('int_monitors') }} as monitors
            where monitors.monitor = '{{ monitor.name }}'
        ) as definition_hash

    from {{ monitor.name }}_read

    where
        not exists (
            select 1
            from {{ monitor.name }}_read as unread
            where unread.column_name is null
        )

),

{% endfor -%}

{{ union_of_monitors('edges', 'baselines') }}

select * from baselines
